"""The audit policy: which requests are recorded, how much of them, at which stages. Pure but for load.

Source: staging apiserver pkg/apis/audit/v1/types.go, pkg/apis/audit/validation, pkg/audit/policy.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nanokube.api import errors
from nanokube.api.validation import names
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.endpoints import yaml_body
from nanokube.apiserver.requestinfo import RequestInfo

log = logging.getLogger(__name__)

API_VERSION: Final = "audit.k8s.io/v1"
RECEIVED: Final = "RequestReceived"
STARTED: Final = "ResponseStarted"
COMPLETE: Final = "ResponseComplete"
PANIC: Final = "Panic"
STAGES: Final = (RECEIVED, STARTED, COMPLETE, PANIC)


class Level(enum.IntEnum):
    """How much is recorded: each level includes those below."""

    NONE, METADATA, REQUEST, REQUEST_RESPONSE = range(4)

    @property
    def title(self) -> str:
        """As policies and events spell it."""
        return _TITLES[self]


_TITLES: Final = ("None", "Metadata", "Request", "RequestResponse")
_LEVELS: Final[Mapping[str, Level]] = dict(zip(_TITLES, Level, strict=True))
_TOP: Final = ("apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields")
_RULE: Final = (
    "level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages",
    "omitManagedFields",
)  # fmt: skip
_RESOURCES: Final = ("group", "resources", "resourceNames")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one request."""

    level: Level
    omit_stages: frozenset[str] = frozenset()
    omits_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """group: "*" for all. resources: none for all; "pods", "pods/log", "pods/*", "*/scale", "*"."""

    group: str
    resources: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    def match(self, info: RequestInfo) -> bool:
        """Tell whether a request is about these."""
        if self.group not in (info.group, "*"):
            return False
        if not self.resources:
            return True
        if self.names and info.name not in self.names:
            return False
        sub = info.subresource
        wanted = {"*", f"{info.resource}/{sub}" if sub else info.resource, f"{info.resource}/*"}
        if sub:
            wanted.add(f"*/{sub}")
        return not wanted.isdisjoint(self.resources)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: every condition that it has must hold. An empty one always does."""

    verdict: Verdict
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[Resources, ...] = ()
    paths: tuple[str, ...] = ()

    def match(self, user: User | None, info: RequestInfo) -> bool:
        """Tell whether the rule is about a request. user: None if nobody knows."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if not info.is_resource or (self.namespaces and info.namespace not in self.namespaces):
                return False
            return not self.resources or any(each.match(info) for each in self.resources)
        if self.paths:
            return not info.is_resource and any(_path_matches(info.path, each) for each in self.paths)
        return True


def _path_matches(path: str, wanted: str) -> bool:
    return path == wanted or (wanted.endswith("*") and path.startswith(wanted.rstrip("*")))


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in order: the first that matches decides. otherwise: what none matches, which is not recorded."""

    rules: tuple[Rule, ...]
    otherwise: Verdict

    def judge(self, user: User | None, info: RequestInfo) -> Verdict:
        """Decide what becomes of a request."""
        for rule in self.rules:
            if rule.match(user, info):
                return rule.verdict
        return self.otherwise


def load(file: Path) -> Policy:
    """Read a policy file. Raises OSError, ValueError."""
    try:
        tree, duplicates = yaml_body.parse(file.read_bytes())
        policy, problems = parse(tree)
    except (ValueError, errors.ApiError) as err:
        raise ValueError(f"cannot read audit policy {file}: {err}") from err
    for problem in (*duplicates, *problems):
        log.warning("audit policy read leniently: file=%s problem=%s", file, problem)
    return policy


def parse(tree: Any) -> tuple[Policy, list[str]]:
    """Read a Policy object; return it, and fields it has that no Policy has. Raises ValueError."""
    if not isinstance(tree, dict):
        raise ValueError("a Policy must be an object")
    if tree.get("apiVersion") != API_VERSION or tree.get("kind") != "Policy":
        found = f"{tree.get('apiVersion')}, Kind={tree.get('kind')}"
        raise ValueError(
            f"unknown group version field {found} in policy: {API_VERSION}, Kind=Policy is known"
        )
    strangers = _strangers(tree, _TOP, "")
    omitted = _stages(tree, "omitStages")
    omits_fields = _boolean(tree, "omitManagedFields", "") or False
    found_rules = _list(tree, "rules", "")
    if not found_rules:
        raise ValueError("loaded illegal policy with 0 rules")
    rules = []
    for index, each in enumerate(found_rules):
        at = f"rules[{index}]"
        if not isinstance(each, dict):
            raise ValueError(f"{at}: must be an object")
        strangers += _strangers(each, _RULE, at + ".")
        for number, one in enumerate(_list(each, "resources", at + ".")):
            if not isinstance(one, dict):
                raise ValueError(f"{at}.resources[{number}]: must be an object")
            strangers += _strangers(one, _RESOURCES, f"{at}.resources[{number}].")
        rules.append(_rule(each, at, omitted, omits_fields))
    return Policy(tuple(rules), Verdict(Level.NONE, omitted, omits_fields)), strangers


def _rule(tree: Mapping[str, Any], at: str, omitted: frozenset[str], omits_fields: bool) -> Rule:
    level = tree.get("level")
    if not level:
        raise ValueError(f"{at}.level: Required value")
    if level not in _LEVELS:
        allowed = ", ".join(f'"{each}"' for each in sorted(_LEVELS))
        raise ValueError(f'{at}.level: Unsupported value: "{level}": supported values: {allowed}')
    own = _boolean(tree, "omitManagedFields", at + ".")
    paths = _texts(tree, "nonResourceURLs", at + ".")
    _check_paths(paths, at)
    resources = tuple(_resources(each, at) for each in tree.get("resources") or ())
    namespaces = _texts(tree, "namespaces", at + ".")
    if paths and (resources or namespaces):
        cause = "rules cannot apply to both regular resources and non-resource URLs"
        raise ValueError(f"{at}.nonResourceURLs: Invalid value: {cause}")
    verdict = Verdict(
        _LEVELS[level],
        omitted | _stages(tree, "omitStages", at + "."),
        omits_fields if own is None else own,
    )
    users, groups, verbs = (_texts(tree, name, at + ".") for name in ("users", "userGroups", "verbs"))
    return Rule(
        verdict,
        frozenset(users),
        frozenset(groups),
        frozenset(verbs),
        frozenset(namespaces),
        resources,
        paths,
    )


def _resources(tree: Mapping[str, Any], at: str) -> Resources:
    group = tree.get("group") or ""
    if group and group != "*":
        for problem in names.dns_subdomain(str(group)):
            raise ValueError(f'{at}.resources.group: Invalid value: "{group}": {problem}')
    found, wanted = (_texts(tree, key, f"{at}.resources.") for key in ("resources", "resourceNames"))
    if wanted and not found:
        cause = "using resourceNames requires at least one resource"
        raise ValueError(f"{at}.resources.resourceNames: Invalid value: {cause}")
    return Resources(group, found, frozenset(wanted))


def _check_paths(paths: Iterable[str], at: str) -> None:
    for index, path in enumerate(paths):
        where = f'{at}.nonResourceURLs[{index}]: Invalid value: "{path}": non-resource URL'
        if path != "*" and not path.startswith("/"):
            raise ValueError(f"{where} rules must begin with a '/' character")
        if "*" in path[:-1]:
            raise ValueError(f"{where} wildcards '*' must be the final character of the rule")


def _stages(tree: Mapping[str, Any], name: str, at: str = "") -> frozenset[str]:
    found = _texts(tree, name, at)
    for index, stage in enumerate(found):
        if stage not in STAGES:
            allowed = ",".join(STAGES)
            raise ValueError(f'{at}{name}[{index}]: Invalid value: "{stage}": allowed stages are {allowed}')
    return frozenset(found)


def _texts(tree: Mapping[str, Any], name: str, at: str) -> tuple[str, ...]:
    found = _list(tree, name, at)
    if not all(isinstance(each, str) for each in found):
        raise ValueError(f"{at}{name}: must be a list of strings")
    return tuple(found)


def _list(tree: Mapping[str, Any], name: str, at: str) -> Sequence[Any]:
    found = tree.get(name)
    if found is not None and not isinstance(found, list):
        raise ValueError(f"{at}{name}: must be a list")
    return found or ()


def _boolean(tree: Mapping[str, Any], name: str, at: str) -> bool | None:
    found = tree.get(name)
    if found is not None and not isinstance(found, bool):
        raise ValueError(f"{at}{name}: must be true or false")
    return found


def _strangers(tree: Mapping[str, Any], known: Sequence[str], at: str) -> list[str]:
    return [f'unknown field "{at}{key}"' for key in tree if key not in known]
