"""Columns of the other workloads and what governs them. Pure.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import autoscaling, objects, selectors, timestamps
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, NONE, Column, Columns, age, print_labels, wide

_CONTAINERS: Final = (wide("Containers"), wide("Images"))
_SELECTOR: Final = wide("Selector")
_JOB_STATES: Final = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _containers(template: Object | None) -> list[str]:
    containers = objects.spec(template or {}).get("containers") or ()
    return [
        ",".join(c.get("name", "") for c in containers),
        ",".join(c.get("image", "") for c in containers),
    ]


def selector_text(selector: Object | None) -> str:
    """Print a label selector as `kubectl get -o wide` shows it."""
    if selector is None:
        return NONE
    try:
        return str(selectors.from_object(selector)) or NONE
    except ValueError:
        return "<error>"


def _daemon_set(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    template = spec.get("template") or {}
    return [
        objects.name(obj),
        status.get("desiredNumberScheduled") or 0,
        status.get("currentNumberScheduled") or 0,
        status.get("numberReady") or 0,
        status.get("updatedNumberScheduled") or 0,
        status.get("numberAvailable") or 0,
        print_labels(objects.spec(template).get("nodeSelector")),
        age(obj, now),
        *_containers(template),
        selector_text(spec.get("selector")),
    ]


def _stateful_set(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [objects.name(obj), ready, age(obj, now), *_containers(spec.get("template"))]


def _replication_controller(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    return [
        objects.name(obj),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(obj, now),
        *_containers(spec.get("template")),
        print_labels(spec.get("selector")),
    ]


def _pod_template(obj: Object, now: float) -> list[Any]:
    template = obj.get("template") or {}
    return [objects.name(obj), *_containers(template), print_labels(objects.labels(template))]


def _controller_revision(obj: Object, now: float) -> list[Any]:
    owner = objects.controller_of(obj)
    controller = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = owner["kind"].lower()
        controller = f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"
    return [objects.name(obj), controller, obj.get("revision") or 0, age(obj, now)]


def _job(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    return [
        objects.name(obj),
        _job_state(obj),
        _completions(spec, status.get("succeeded") or 0),
        _duration(status, now),
        age(obj, now),
        *_containers(spec.get("template")),
        selector_text(spec.get("selector")),
    ]


def _job_state(obj: Object) -> str:
    for condition, title in _JOB_STATES:
        if objects.is_condition_true(obj, condition) if condition else objects.is_deleting(obj):
            return title
    return "Running"


def _completions(spec: Object, succeeded: int) -> str:
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Object, now: float) -> str:
    if not status.get("startTime"):
        return ""
    end = timestamps.parse(status["completionTime"]) if status.get("completionTime") else now
    return timestamps.human(end - timestamps.parse(status["startTime"]))


def _cron_job(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    last = status.get("lastScheduleTime")
    job = objects.spec(spec.get("jobTemplate") or {})
    return [
        objects.name(obj),
        spec.get("schedule") or "",
        spec.get("timeZone") or NONE,
        "True" if spec.get("suspend") else "False",
        len(status.get("active") or ()),
        timestamps.age(last, now) if last else NONE,
        age(obj, now),
        *_containers(job.get("template")),
        selector_text(job.get("selector")),
    ]


def _disruption_budget(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    return [
        objects.name(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        objects.status(obj).get("disruptionsAllowed") or 0,
        age(obj, now),
    ]


def _autoscaler(obj: Object, now: float) -> list[Any]:
    if obj.get("apiVersion") == "autoscaling/v1":  # which keeps most metrics in annotations
        obj = autoscaling.to_v2(dict(obj))
    spec = objects.spec(obj)
    target = spec.get("scaleTargetRef") or {}
    return [
        objects.name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _metrics(spec.get("metrics") or (), objects.status(obj).get("currentMetrics") or ()),
        str(spec.get("minReplicas", "<unset>")),
        spec.get("maxReplicas") or 0,
        objects.status(obj).get("currentReplicas") or 0,
        age(obj, now),
    ]


def _metrics(wanted: Any, current: Any) -> str:
    texts = [_metric(m, current[n] if n < len(current) else {}) for n, m in enumerate(wanted)]
    if not texts:
        return NONE
    more = f" + {len(texts) - 2} more..." if len(texts) > 2 else ""
    return ", ".join(texts[:2]) + more


def _metric(wanted: Object, status: Object) -> str:
    kind = wanted.get("type") or ""
    key = kind[:1].lower() + kind[1:]
    source, found = wanted.get(key) or {}, (status.get(key) or {}).get("current") or {}
    target = source.get("target") or {}
    name = f"{source['name']}: " if "name" in source else ""
    if target.get("averageValue") is not None:
        mark = " (avg)" if kind in ("External", "Object") else ""
        return f"{name}{found.get('averageValue', '<unknown>')}/{target['averageValue']}{mark}"
    if not name:
        return f"{found.get('value', '<unknown>')}/{target.get('value', '<auto>')}"
    use, goal = found.get("averageUtilization"), target.get("averageUtilization")
    return f"{name}{'<unknown>' if use is None else f'{use}%'}/{'<auto>' if goal is None else f'{goal}%'}"


_COUNTS: Final = tuple(Column(n, "integer") for n in ("Desired", "Current", "Ready"))

DAEMON_SET: Final = Columns(
    (
        NAME,
        *_COUNTS,
        Column("Up-to-date", "integer"),
        Column("Available", "integer"),
        Column("Node Selector"),
        AGE,
        *_CONTAINERS,
        _SELECTOR,
    ),
    _daemon_set,
)
STATEFUL_SET: Final = Columns((NAME, Column("Ready"), AGE, *_CONTAINERS), _stateful_set)
REPLICATION_CONTROLLER: Final = Columns(
    (NAME, *_COUNTS, AGE, *_CONTAINERS, _SELECTOR), _replication_controller
)
POD_TEMPLATE: Final = Columns(
    (NAME, Column("Containers"), Column("Images"), Column("Pod Labels")), _pod_template
)
CONTROLLER_REVISION: Final = Columns(
    (NAME, Column("Controller"), Column("Revision"), AGE), _controller_revision
)
JOB: Final = Columns(
    (NAME, Column("Status"), Column("Completions"), Column("Duration"), AGE, *_CONTAINERS, _SELECTOR), _job
)
CRON_JOB: Final = Columns(
    (
        NAME,
        Column("Schedule"),
        Column("Timezone"),
        Column("Suspend", "boolean"),
        Column("Active", "integer"),
        Column("Last Schedule"),
        AGE,
        *_CONTAINERS,
        _SELECTOR,
    ),
    _cron_job,
)
DISRUPTION_BUDGET: Final = Columns(
    (
        NAME,
        Column("Min Available"),
        Column("Max Unavailable"),
        Column("Allowed Disruptions", "integer"),
        AGE,
    ),
    _disruption_budget,
)
AUTOSCALER: Final = Columns(
    (
        NAME,
        Column("Reference"),
        Column("Targets"),
        Column("MinPods"),
        Column("MaxPods"),
        Column("Replicas"),
        AGE,
    ),
    _autoscaler,
)
