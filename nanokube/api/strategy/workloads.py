"""Strategy of DaemonSets, StatefulSets, Jobs and of kinds whose generation follows other fields. Pure.

Source: pkg/registry/{apps,batch,core,scheduling,admissionregistration}/*/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules

TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"
JOB_PREFIX: Final = "batch.kubernetes.io/"
_MOST_AWAY: Final = "maxUnavailable"


class DaemonSetRules(Rules):
    """Counts changes of the template in an annotation, as upstream still does."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Start at one."""
        obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = "1"

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Count."""
        count = int(objects.annotations(old).get(TEMPLATE_GENERATION) or 0)
        changed = objects.spec(new).get("template") != objects.spec(old).get("template")
        annotations = dict(objects.annotations(new))
        annotations[TEMPLATE_GENERATION] = str(count + 1 if changed else count)
        new["metadata"]["annotations"] = annotations


class StatefulSetRules(Rules):
    """The field of a feature that is off by default (MaxUnavailableStatefulSet) is dropped if it is new."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Drop it."""
        strategy = (obj.get("spec") or {}).get("updateStrategy") or {}
        if (strategy.get("rollingUpdate") or {}).get(_MOST_AWAY) is not None:
            rolling = {key: value for key, value in strategy["rollingUpdate"].items() if key != _MOST_AWAY}
            obj["spec"] = {**obj["spec"], "updateStrategy": {**strategy, "rollingUpdate": rolling}}

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Drop it, unless the object has it already."""
        strategy = objects.spec(old).get("updateStrategy") or {}
        if (strategy.get("rollingUpdate") or {}).get(_MOST_AWAY) is None:
            self.on_create(new)


class JobRules(Rules):
    """Selects its own Pods by UID unless the user selects."""

    default_propagation = "Orphan"

    def on_create(self, obj: dict[str, Any]) -> None:
        """Generate selector and labels."""
        spec = obj.setdefault("spec", {})
        had = dict((spec.get("template") or {}).get("metadata", {}).get("labels") or {})
        if spec.get("manualSelector"):
            return
        metadata = obj["metadata"]
        labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
        name, uid = metadata.get("name", ""), metadata["uid"]
        for prefix in ("", JOB_PREFIX):
            labels.setdefault(f"{prefix}job-name", name)
            labels.setdefault(f"{prefix}controller-uid", uid)
        # By default those of its Pods, all of them; a Job that is to get a name has those given, if any.
        if (metadata.get("labels") or {}) == had and not (had and metadata.get("generateName")):
            metadata["labels"] = dict(labels)
        selector = spec.get("selector") or {}
        matched = selector.get("matchLabels") or {}
        spec["selector"] = {**selector, "matchLabels": {f"{JOB_PREFIX}controller-uid": uid, **matched}}


class ServiceAccountRules(Rules):
    """Of the Secrets that it lists only the names count."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Drop the rest of the references."""
        if obj.get("secrets"):
            obj["secrets"] = [{"name": s["name"]} if s.get("name") else {} for s in obj["secrets"]]

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Drop the rest of the references."""
        self.on_create(new)


class ReplicationControllerRules(Rules):
    """Leaves its Pods behind unless told otherwise."""

    default_propagation = "Orphan"


class FieldRules(Rules):
    """Counts changes of one field that is not `spec`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def is_new_generation(self, new: Object, old: Object) -> bool:
        """Compare that field."""
        return bool(new.get(self._name) != old.get(self._name))


class LeaseRules(Rules):
    """The fields of a feature that is off by default (CoordinatedLeaderElection) are dropped."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Drop them."""
        for key in ("strategy", "preferredHolder"):
            (obj.get("spec") or {}).pop(key, None)

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Drop them."""
        self.on_create(new)


class FixedRules(Rules):
    """The generation stays 1."""

    def is_new_generation(self, new: Object, old: Object) -> bool:
        """Never."""
        return False


LEASE: Final = LeaseRules()
SERVICE_ACCOUNT: Final = ServiceAccountRules()
DAEMON_SET: Final = DaemonSetRules()
STATEFUL_SET: Final = StatefulSetRules()
JOB: Final = JobRules()
REPLICATION_CONTROLLER: Final = ReplicationControllerRules()
POD_TEMPLATE: Final = FieldRules("template")
WEBHOOKS: Final = FieldRules("webhooks")
FIXED: Final = FixedRules()
