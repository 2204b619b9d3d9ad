"""What the end of a Job's Pod means: failure and success policies, back-off. Pure.

Source: pkg/controller/job/{pod_failure_policy,success_policy,backoff_utils}.go.
"""

import dataclasses
from collections.abc import Iterable, Sequence, Set

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.controllers import job_indexes

FIRST_DELAY_S = 10.0  # job_controller.go: DefaultJobPodFailureBackOff
LAST_DELAY_S = 600.0  # job_controller.go: MaxJobPodFailureBackOff


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What the failure policy says of a failed Pod: the rule's action ("" if none matched)."""

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Whether the failure counts against the back-off limits."""
        return self.action != "Ignore"


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Failures since the last success, and when the latest was (seconds since the epoch)."""

    failures: int = 0
    last_s: float = 0.0

    def after(self, succeeded: Sequence[Object], failed: Sequence[Object]) -> "Record":
        """Count the Pods that ended since the record was made."""
        times = sorted(finished_s(pod) for pod in failed)
        if not succeeded:
            return Record(self.failures + len(times), times[-1]) if times else self
        last_success_s = max(finished_s(pod) for pod in succeeded)
        later = [at for at in times if at > last_success_s]
        return Record(len(later), later[-1]) if later else Record()

    def remaining_s(self, now: float) -> float:
        """Give the seconds until a replacement may be made."""
        return delay_s(self.failures, self.last_s, now)


NO_FAILURES = Record()


def delay_s(failures: int, last_s: float, now: float) -> float:
    """Give what is left of the exponential delay after so many failures."""
    if failures <= 0:
        return 0.0
    return max(0.0, last_s + min(LAST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 32)) - now)


def finished_s(pod: Object) -> float:
    """Tell when a Pod ended: its last container, else when it became unready, else its deletion."""
    ends = [_ended(status) for status in _ending_statuses(pod)]
    if ends and all(ends):
        return max(timestamps.parse(end) for end in ends)
    ready = objects.condition(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return timestamps.parse(ready["lastTransitionTime"])
    if deleted := objects.deletion_timestamp(pod):
        return timestamps.parse(deleted) - int(objects.metadata(pod).get("deletionGracePeriodSeconds") or 0)
    return timestamps.parse(objects.creation_timestamp(pod))


def judge(job: Object, pod: Object) -> Verdict:
    """Apply the failure policy's first matching rule to a failed Pod."""
    policy = objects.spec(job).get("podFailurePolicy") or {}
    for number, rule in enumerate(policy.get("rules") or ()):
        action = rule.get("action", "")
        if rule.get("onExitCodes"):
            why = _exit_code_matches(pod, rule["onExitCodes"])
        else:
            why = _condition_matches(pod, rule.get("onPodConditions") or ())
        if why:
            return Verdict(action, f"{why} matching {action} rule at index {number}")
    return Verdict()


def success_rule(job: Object, succeeded: Set[int]) -> str:
    """Give the message of the success policy's first rule that is met; "" if none is."""
    spec = objects.spec(job)
    for number, rule in enumerate((spec.get("successPolicy") or {}).get("rules") or ()):
        count = rule.get("succeededCount")
        text = rule.get("succeededIndexes")
        if not succeeded:
            continue
        if text is not None:
            required = job_indexes.parse(text, int(spec.get("completions") or 0))
            have = len(required & succeeded)
            met = bool(required) and (have == len(required) or (count is not None and have >= int(count)))
        else:
            met = count is not None and len(succeeded) >= int(count)
        if met:
            return f"Matched rules at index {number}"
    return ""


def _exit_code_matches(pod: Object, wanted: Object) -> str:
    status = objects.status(pod)
    for found in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        code = ((found.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        if not code or wanted.get("containerName") not in (None, found.get("name")):
            continue
        if (code in (wanted.get("values") or ())) == (wanted.get("operator") == "In"):
            return f"Container {found['name']} for pod {objects.key(pod)} failed with exit code {code}"
    return ""


def _condition_matches(pod: Object, patterns: Iterable[Object]) -> str:
    for condition in objects.conditions(pod):
        for pattern in patterns:
            if (condition.get("type"), condition.get("status")) == (
                pattern.get("type"),
                pattern.get("status", "True"),
            ):
                return f"Pod {objects.key(pod)} has condition {condition['type']}"
    return ""


def _ending_statuses(pod: Object) -> list[Object]:
    sidecars = {
        container["name"]
        for container in objects.spec(pod).get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    status = objects.status(pod)
    initial = [each for each in status.get("initContainerStatuses") or () if each.get("name") in sidecars]
    return [*(status.get("containerStatuses") or ()), *initial]


def _ended(status: Object) -> str:
    return ((status.get("state") or {}).get("terminated") or {}).get("finishedAt") or ""
