"""One request as the registry sees it: who, what, and the options of a write. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nanokube.api import errors
from nanokube.api.resources import Resource
from nanokube.apiserver.authn.user import User
from nanokube.kit.http.message import Query


@dataclass(slots=True)
class Call:
    """resource: as addressed; objects are kept as resources.get(resource.storage_name).

    warnings: sent to the client as Warning headers. options: fields of CreateOptions and the like as they
    came, for webhooks and policies. is_consequence: of another write, which these were asked about.
    """

    user: User
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    is_dry_run: bool = False
    manager: str = "unknown"
    field_validation: str = "Warn"
    is_forced: bool = False
    warnings: list[str] = field(default_factory=list)
    options: Mapping[str, Any] = field(default_factory=dict)
    is_consequence: bool = False

    @property
    def key(self) -> str:
        """ "namespace/name" or "name"."""
        return f"{self.namespace}/{self.name}" if self.resource.namespaced else self.name

    def refused(self, err: errors.ApiError) -> errors.ApiError:
        """Send the warnings along with a refusal."""
        err.warnings = self.warnings
        return err

    def warn(self, texts: Iterable[str]) -> None:
        """Tell the client each text once, however often the write is tried."""
        self.warnings += (text for text in dict.fromkeys(texts) if text not in self.warnings)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete. grace_s None: the kind's own; uid, resource_version: preconditions, "" for none."""

    grace_s: int | None = None
    propagation: str = ""  # Orphan, Foreground, Background
    uid: str = ""
    resource_version: str = ""

    def fields(self) -> dict[str, Any]:
        """Build DeleteOptions without kind and dryRun."""
        found: dict[str, Any] = {}
        if self.grace_s is not None:
            found["gracePeriodSeconds"] = self.grace_s
        if self.uid or self.resource_version:
            asked = {"uid": self.uid, "resourceVersion": self.resource_version}
            found["preconditions"] = {key: value for key, value in asked.items() if value}
        if self.propagation:
            found["propagationPolicy"] = self.propagation
        return found


NO_OPTIONS: Final[Mapping[str, Any]] = {}


def dry_run_of(values: list[str]) -> bool:
    """Read the dryRun option. Raises ApiError."""
    wanted = [value for value in values if value]
    if any(value != "All" for value in wanted):
        raise errors.bad_request(f'invalid dryRun {wanted}: the only supported value is "All"')
    return bool(wanted)


def field_validation_of(value: str) -> str:
    """Read the fieldValidation option. Raises ApiError."""
    if value not in ("", "Ignore", "Warn", "Strict"):
        raise errors.bad_request(
            f'fieldValidation: Unsupported value: "{value}": supported values: "", "Ignore", "Strict", "Warn"'
        )
    return value or "Warn"


def manager_of(query: Query, user_agent: str) -> str:
    """Name the field manager: the fieldManager option, or what stands before "/" in the User-Agent.

    Source: staging apiserver pkg/endpoints/handlers/create.go, managerOrUserAgent. At most 128 bytes.
    """
    named = query.get("fieldManager")
    if len(named) > 128:
        raise errors.bad_request("fieldManager: Invalid value: may not be more than 128 bytes")
    return named or "".join(c for c in user_agent.partition("/")[0] if c.isprintable())[:128] or "unknown"


def options_of(query: Query) -> dict[str, Any]:
    """Read what CreateOptions and UpdateOptions say besides dryRun."""
    named = ((name, query.get(name)) for name in ("fieldManager", "fieldValidation"))
    return {name: value for name, value in named if value}


def delete_options(query: Query, body: dict[str, Any]) -> tuple[DeleteOptions, bool]:
    """Read DeleteOptions from the body or, without one, the query; and whether it is a dry run.

    Raises ApiError.
    """
    if not body:
        body = {key: query.get(key) for key in ("gracePeriodSeconds", "propagationPolicy") if key in query}
        if query.getall("dryRun"):
            body["dryRun"] = query.getall("dryRun")
        if query.get("orphanDependents"):
            body["orphanDependents"] = query.get("orphanDependents") == "true"
    grace = body.get("gracePeriodSeconds")
    try:
        grace_s = None if grace is None or grace == "" else int(grace)
    except (TypeError, ValueError) as err:
        raise errors.bad_request(f"cannot read gracePeriodSeconds: {grace}") from err
    propagation = body.get("propagationPolicy") or ""
    if propagation not in ("", "Orphan", "Foreground", "Background"):
        raise errors.bad_request(
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: '
            f'Unsupported value: "{propagation}": '
            'supported values: "Foreground", "Background", "Orphan", "nil"'
        )
    if body.get("orphanDependents") is not None:
        if propagation:
            raise errors.bad_request("orphanDependents and deletionPropagation cannot be both set")
        propagation = "Orphan" if body["orphanDependents"] else "Background"
    preconditions = body.get("preconditions") or {}
    options = DeleteOptions(
        grace_s, propagation, preconditions.get("uid") or "", preconditions.get("resourceVersion") or ""
    )
    return options, dry_run_of(list(body.get("dryRun") or ()))
