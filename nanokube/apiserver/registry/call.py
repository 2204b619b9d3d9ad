"""One request as the registry sees it: who, what, and the options of a write. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import errors, field
from nanokube.api.field import FieldError
from nanokube.api.replicas import Sent
from nanokube.api.resources import Resource
from nanokube.apiserver import requestinfo
from nanokube.apiserver.authn.user import User
from nanokube.kit.http.message import Query


@dataclass(slots=True)
class Call:
    """resource: as addressed; objects are kept as resources.get(resource.storage_name).

    warnings: sent to the client as Warning headers. options: fields of CreateOptions and the like as they
    came, for webhooks and policies. is_consequence: of another write, which these were asked about.
    sent: what is kept of the spec of a new Pod, which then has its defaults.
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
    warnings: list[str] = dataclasses.field(default_factory=list)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_consequence: bool = False
    sent: Sent | None = None

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
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")
_POLICIES: Final = ("Foreground", "Background", "Orphan")
_MAX_MANAGER_BYTES: Final = 128


def options_invalid(kind: str, found: Iterable[FieldError]) -> errors.ApiError:
    """422: options of a request, ListOptions or CreateOptions for instance, break rules."""
    return errors.invalid(Resource("meta.k8s.io", "v1", kind, "", "", False), "", found)


def check_options(kind: str, query: Query) -> None:
    """Check what CreateOptions, UpdateOptions or PatchOptions say. Raises ApiError (422).

    Source: apimachinery pkg/apis/meta/v1/validation.
    """
    named, validation = query.get("fieldManager"), query.get("fieldValidation")
    found = _manager(named) if named else []
    found += _dry_run(query.getall("dryRun"))
    if validation not in _VALIDATIONS:
        found.append(field.not_supported("fieldValidation", validation, _VALIDATIONS))
    if found:
        raise options_invalid(kind, found)


def _dry_run(values: list[str]) -> list[FieldError]:
    if all(value == "All" for value in values):
        return []
    return [field.not_supported("dryRun", values, ("All",))]


def _manager(name: str) -> list[FieldError]:
    if len(name.encode()) > _MAX_MANAGER_BYTES:
        return [field.too_long("fieldManager", _MAX_MANAGER_BYTES)]
    bad = next(((at, c) for at, c in enumerate(name) if not c.isprintable()), None)
    if bad is None:
        return []
    detail = f"invalid character U+{ord(bad[1]):04X} (at position {bad[0]})"
    return [field.invalid("fieldManager", name, detail)]


def manager_of(query: Query, user_agent: str) -> str:
    """Name the field manager: the fieldManager option, or what stands before "/" in the User-Agent.

    Source: staging apiserver pkg/endpoints/handlers/create.go, managerOrUserAgent. At most 128 bytes.
    """
    named = query.get("fieldManager")
    return named or "".join(c for c in user_agent.partition("/")[0] if c.isprintable())[:128] or "unknown"


def options_of(query: Query) -> dict[str, Any]:
    """Read what CreateOptions and UpdateOptions say besides dryRun."""
    named = ((name, query.get(name)) for name in ("fieldManager", "fieldValidation"))
    return {name: value for name, value in named if value}


def delete_options(query: Query, body: dict[str, Any] | None) -> tuple[DeleteOptions, bool]:
    """Read DeleteOptions from the body or, without one, the query; and whether it is a dry run.

    Raises ApiError.
    """
    if body is None:
        body = _options_asked(query)
    grace = body.get("gracePeriodSeconds")
    try:
        grace_s = None if grace is None else int(grace)
    except (TypeError, ValueError) as err:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax') from err
    propagation, orphans = body.get("propagationPolicy") or "", body.get("orphanDependents")
    found: list[FieldError] = []
    if propagation and orphans is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        found.append(field.invalid("propagationPolicy", propagation, detail))
    if body.get("propagationPolicy") is not None and propagation not in _POLICIES:
        found.append(field.not_supported("propagationPolicy", propagation, (*_POLICIES, "nil")))
    dry_run = list(body.get("dryRun") or ())
    found += _dry_run(dry_run)
    if found:
        raise options_invalid("DeleteOptions", found)
    if orphans is not None:
        propagation = "Orphan" if orphans else "Background"
    preconditions = body.get("preconditions") or {}
    options = DeleteOptions(
        grace_s, propagation, preconditions.get("uid") or "", preconditions.get("resourceVersion") or ""
    )
    return options, bool(dry_run)


def _options_asked(query: Query) -> dict[str, Any]:
    """Source: apimachinery pkg/apis/meta/v1/conversion.go: preconditions stand by themselves in a query."""
    body: dict[str, Any] = {
        key: query.get(key) for key in ("gracePeriodSeconds", "propagationPolicy") if key in query
    }
    if query.getall("dryRun"):
        body["dryRun"] = query.getall("dryRun")
    if "orphanDependents" in query:
        body["orphanDependents"] = requestinfo.is_asked(query, "orphanDependents")
    preconditions = {key: query.get(key) for key in ("uid", "resourceVersion") if query.get(key)}
    return {**body, "preconditions": preconditions} if preconditions else body
