"""CronJobs and the time to live of Jobs, told as stories in virtual time."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources, timestamps
from nanokube.controllers import cronjob, cronjob_plan, job, ttl_after_finished
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage, template

JOBS = resources.get("jobs.batch")
CRONJOBS = resources.get("cronjobs.batch")


def a_cronjob(**spec: Any) -> dict[str, Any]:
    job_spec = {"parallelism": 1, "completions": 1, "template": template(restartPolicy="Never")}
    job_spec["selector"] = {"matchLabels": {"app": "web"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "ns", "uid": "u"},
        "spec": {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Allow",
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": job_spec},
            **spec,
        },
    }


def jobs(stage: Stage) -> list[str]:
    return [objects.name(found) for found in stage.client.all(JOBS)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("Allow", ["c-1", "c-2"]), ("Forbid", ["c-1"]), ("Replace", ["c-2"])],
)
def test_each_minute_a_job(policy: str, expected: list[str]) -> None:
    async def story() -> None:
        stage = Stage(cronjob.CronJobController)
        async with stage.running():
            await stage.client.create(CRONJOBS, a_cronjob(concurrencyPolicy=policy))
            await asyncio.sleep(50)
            assert jobs(stage) == []
            await asyncio.sleep(11)
            assert jobs(stage) == ["c-1"]
            first = stage.client.all(JOBS)[0]
            assert objects.labels(first) == {"a": "b"}
            assert objects.annotations(first)[cronjob_plan.SCHEDULED] == "1970-01-01T00:01:00Z"
            await asyncio.sleep(60)
            assert jobs(stage) == expected
            active = stage.status(CRONJOBS, "ns/c")["active"]
            assert [each["name"] for each in active] == expected

    virtual_time.run(story())


def test_ended_jobs_leave_the_status_and_then_go() -> None:
    async def story() -> None:
        stage = Stage(cronjob.CronJobController, job.JobController)
        async with stage.running():
            await stage.client.create(CRONJOBS, a_cronjob())
            for _ in range(3):
                await asyncio.sleep(60.5)
                for pod in stage.pods():
                    if not objects.status(pod).get("containerStatuses"):
                        stage.end(objects.name(pod))
            await asyncio.sleep(1)
            assert len(jobs(stage)) == 1
            status = stage.status(CRONJOBS, "ns/c")
            assert "active" not in status
            assert status["lastScheduleTime"] == "1970-01-01T00:03:00Z"
            assert status["lastSuccessfulTime"]
            assert any("SawCompletedJob Saw completed job: c-1" in line for line in stage.events.lines)

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("spec", "event"),
    [
        ({"suspend": True}, ""),
        ({"schedule": "nonsense"}, "UnparseableSchedule"),
        ({"schedule": "59 23 31 2 *"}, "InvalidSchedule"),
        ({"timeZone": "Moon/Crater"}, "UnknownTimeZone"),
    ],
)
def test_no_job_is_made(spec: dict[str, Any], event: str) -> None:
    async def story() -> None:
        stage = Stage(cronjob.CronJobController)
        async with stage.running():
            await stage.client.create(CRONJOBS, a_cronjob(**spec))
            await asyncio.sleep(300)
            assert jobs(stage) == []
            assert event in "".join(stage.events.lines)

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("now", "deadline", "created", "events"),
    [
        (59, None, None, []),
        (61, None, "c-1", []),
        (310, None, "c-5", []),
        (60 * 200 + 5, None, "c-200", ["TooManyMissedTimes"]),
        (60 * 200 + 5, 100, "c-200", []),
        (118, 10, None, []),
    ],
)
def test_missed_times(now: int, deadline: int | None, created: str | None, events: list[str]) -> None:
    cronjob_object = a_cronjob(startingDeadlineSeconds=deadline)
    cronjob_object["metadata"]["creationTimestamp"] = timestamps.format_time(0)
    found = cronjob_plan.plan(cronjob_object, [], set(), now)
    assert (objects.name(found.create) if found.create else None) == created
    assert [event[1] for event in found.events] == events


def test_ended_job_goes_after_its_time_to_live() -> None:
    async def story() -> None:
        stage = Stage(ttl_after_finished.TtlAfterFinishedController)
        async with stage.running():
            ended = {"type": "Complete", "status": "True", "lastTransitionTime": stage.stamp()}
            for name, spec in (("goes", {"ttlSecondsAfterFinished": 30}), ("stays", {})):
                meta = {"name": name, "namespace": "ns"}
                found = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}
                stage.client.put({**found, "status": {"conditions": [ended]}})
            await asyncio.sleep(29)
            assert jobs(stage) == ["goes", "stays"]
            await asyncio.sleep(2)
            assert [name for name in jobs(stage) if name == "stays"] == ["stays"]
            going = [found for found in stage.client.all(JOBS) if objects.name(found) == "goes"]
            assert all(objects.is_deleting(found) for found in going)

    virtual_time.run(story())
