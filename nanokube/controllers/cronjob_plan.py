"""When a CronJob makes its next Job, and which of its Jobs go. Pure.

Source: pkg/controller/cronjob/{cronjob_controllerv2,utils}.go.
"""

import dataclasses
import datetime
import math
from collections.abc import Sequence, Set
from typing import Any

from nanokube.api import cron, objects, timestamps
from nanokube.api.objects import Object
from nanokube.client.events import EventType

# A Job may be up to this late before its time counts as missed for ever so long (utils.go).
TOO_MANY = 100
SLACK_S = 0.1  # cronjob_controllerv2.go: nextScheduleDelta
NEVER = "time difference between two schedules is less than 1 second"  # utils.go, of 31 February
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
Event = tuple[EventType, str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """The latest time that is due, if any, and how many before it were missed."""

    at: float | None = None
    missed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One step: replaced Jobs go first, then create, then the status with the new Job in it."""

    status: dict[str, Any]
    create: dict[str, Any] | None = None
    replace: tuple[dict[str, Any], ...] = ()
    events: tuple[Event, ...] = ()
    again_s: float | None = None


def plan(cronjob: Object, jobs: Sequence[dict[str, Any]], missing: Set[str], now: float) -> Plan:
    """Decide one step. missing: UIDs of active Jobs that are no more."""
    status, events = observed(cronjob, jobs, missing)
    spec = objects.spec(cronjob)
    if objects.is_deleting(cronjob):
        return Plan(status, events=tuple(events))
    try:
        zone = cron.time_zone(spec["timeZone"]) if spec.get("timeZone") is not None else datetime.UTC
    except ValueError as err:
        message = f'invalid timeZone: "{spec["timeZone"]}": {err}'
        return Plan(status, events=(*events, ("Warning", "UnknownTimeZone", message)))
    if spec.get("suspend"):
        return Plan(status, events=tuple(events))
    try:
        schedule = cron.parse(spec["schedule"], zone)
    except ValueError as err:
        message = f'unparseable schedule: "{spec["schedule"]}" : {err}'
        return Plan(status, events=(*events, ("Warning", "UnparseableSchedule", message)))
    if schedule.next_after(now) is None:
        message = f"invalid schedule: {spec['schedule']} : {NEVER}"
        return Plan(status, events=(*events, ("Warning", "InvalidSchedule", message)))
    waiting = Plan(status, events=tuple(events), again_s=_wait_s(cronjob, schedule, now))
    return _start(cronjob, jobs, waiting, due(cronjob, schedule, now), zone, now)


def due(cronjob: Object, schedule: cron.Schedule, now: float, *, within_deadline: bool = True) -> Due:
    """Find the latest scheduled time that is not after now and not before what is known to have run."""
    last = objects.status(cronjob).get("lastScheduleTime")
    earliest = timestamps.parse(last or objects.creation_timestamp(cronjob))
    deadline = objects.spec(cronjob).get("startingDeadlineSeconds")
    if within_deadline and deadline is not None:
        earliest = max(earliest, now - int(deadline))
    first = schedule.next_after(earliest)
    if first is None or now < first:
        return Due()
    second = schedule.next_after(first)
    if second is None or now < second:
        return Due(first)
    # Estimated from one gap: a long downtime must not be walked through minute by minute.
    gap = max(1, round(second - first))
    missed = int(now - first) // gap + 1
    at: float | None = None
    moment = schedule.next_after(max(first - 1, first + (missed - 2) * gap))
    while moment is not None and moment <= now:
        at, moment = moment, schedule.next_after(moment)
    return Due(at or first, missed)


def observed(
    cronjob: Object, jobs: Sequence[dict[str, Any]], missing: Set[str]
) -> tuple[dict[str, Any], list[Event]]:
    """Bring status.active and lastSuccessfulTime up to what the Jobs show."""
    status: dict[str, Any] = dict(objects.status(cronjob))
    active = {reference["uid"]: reference for reference in status.get("active") or ()}
    events: list[Event] = []
    for job in jobs:
        end, name = ending(job), objects.name(job)
        if not end and objects.uid(job) not in active:
            message = f"Saw a job that the controller did not create or forgot: {name}"
            events.append(("Warning", "UnexpectedJob", message))
        if end and active.pop(objects.uid(job), None) is not None:
            events.append(("Normal", "SawCompletedJob", f"Saw completed job: {name}, condition: {end}"))
        ended = objects.status(job).get("completionTime") or ""
        if end == "Complete" and ended > (status.get("lastSuccessfulTime") or ""):
            status["lastSuccessfulTime"] = ended
    for uid in missing & active.keys():
        events.append(("Normal", "MissingJob", f"Active job went missing: {active.pop(uid)['name']}"))
    return with_active(status, list(active.values())), events


def with_active(status: Object, active: list[Any]) -> dict[str, Any]:
    """Put the references of the running Jobs in a status; an empty list is left out."""
    changed: dict[str, Any] = {**status, "active": active}
    if not active:
        del changed["active"]
    return changed


def surplus(cronjob: Object, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the oldest ended Jobs beyond the history limits."""
    chosen: list[dict[str, Any]] = []
    for end, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        limit = objects.spec(cronjob).get(field)
        ended = sorted((job for job in jobs if ending(job) == end), key=_by_start)
        if limit is not None:
            chosen += ended[: max(0, len(ended) - int(limit))]
    return chosen


def ending(job: Object) -> str:
    """Give the condition that ended a Job: Complete, Failed or ""."""
    return next((end for end in ("Complete", "Failed") if objects.is_condition_true(job, end)), "")


def reference(job: Object) -> dict[str, Any]:
    """Build what status.active holds of a Job."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": objects.name(job),
        "namespace": objects.namespace(job),
        "uid": objects.uid(job),
        "resourceVersion": objects.resource_version(job),
    }


def _start(
    cronjob: Object,
    jobs: Sequence[dict[str, Any]],
    waiting: Plan,
    found: Due,
    zone: datetime.tzinfo,
    now: float,
) -> Plan:
    spec, at = objects.spec(cronjob), found.at
    if at is None:
        return waiting
    events = list(waiting.events)
    if found.missed > TOO_MANY:
        message = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        )
        events.append(("Warning", "TooManyMissedTimes", message))
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and at + int(deadline) < now:
        shown = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        events.append(("Warning", "MissSchedule", f"Missed scheduled time to start a job: {shown}"))
        return dataclasses.replace(waiting, events=tuple(events))
    active = waiting.status.get("active") or ()
    is_made = any(each["name"] == job_name(cronjob, at) for each in active)
    if is_made or waiting.status.get("lastScheduleTime") == timestamps.format_time(at):
        return dataclasses.replace(waiting, events=tuple(events))
    policy = spec.get("concurrencyPolicy")
    if policy == "Forbid" and active:
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        events.append(("Normal", "JobAlreadyActive", message))
        return dataclasses.replace(waiting, events=tuple(events))
    running = {each["uid"] for each in active} if policy == "Replace" else set()
    return dataclasses.replace(
        waiting,
        create=_job(cronjob, at, zone),
        replace=tuple(job for job in jobs if objects.uid(job) in running),
        status={**waiting.status, "lastScheduleTime": timestamps.format_time(at)},
        events=tuple(events),
    )


def job_name(cronjob: Object, at: float) -> str:
    """Name the Job of a scheduled time: the same time never makes two."""
    return f"{objects.name(cronjob)}-{int(at) // 60}"


def _job(cronjob: Object, at: float, zone: datetime.tzinfo) -> dict[str, Any]:
    template = objects.copy(objects.spec(cronjob)["jobTemplate"])
    meta = template.get("metadata") or {}
    stamp = datetime.datetime.fromtimestamp(at, zone).isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(cronjob, at),
            "namespace": objects.namespace(cronjob),
            "labels": meta.get("labels") or {},
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED: stamp},
            "ownerReferences": [objects.controller_reference(cronjob)],
        },
        "spec": template["spec"],
    }


def _wait_s(cronjob: Object, schedule: cron.Schedule, now: float) -> float | None:
    """Give the seconds until the next time after the one that is due now, if one is."""
    last = objects.status(cronjob).get("lastScheduleTime")
    start = due(cronjob, schedule, now, within_deadline=False).at
    if start is None:
        start = timestamps.parse(last or objects.creation_timestamp(cronjob))
    following = schedule.next_after(start)
    return None if following is None else max(0.0, following + SLACK_S - now)


def _by_start(job: Object) -> tuple[float, str]:
    start = objects.status(job).get("startTime")
    return (timestamps.parse(start) if start else math.inf, objects.name(job))
