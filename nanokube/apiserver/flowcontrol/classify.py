"""Which FlowSchema a request belongs to: rules compiled once, decisions remembered. Pure.

Source: apiserver/pkg/util/flowcontrol/rule.go, apf_controller.go (startRequest).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.apiserver.authn.user import SERVICE_ACCOUNT_PREFIX, User
from nanokube.apiserver.requestinfo import RequestInfo

BY_USER: Final = "ByUser"
BY_NAMESPACE: Final = "ByNamespace"
# decisions remembered; what clients make up must not fill the memory
MAX_MEMORY: Final = 8192

T = TypeVar("T")
Match = Callable[[User, RequestInfo], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One FlowSchema, compiled."""

    name: str
    uid: str
    level: str
    precedence: int
    distinguisher: str
    matches: Match
    namespaces: frozenset[str]
    """Namespaces that its rules name."""

    def flow(self, user: User, info: RequestInfo) -> str:
        """Name the flow of a request: requests of one flow wait for each other."""
        if self.distinguisher == BY_USER:
            return f"{self.name}/{user.name}"
        if self.distinguisher == BY_NAMESPACE:
            return f"{self.name}/{info.namespace}"
        return self.name


class Classifier(Generic[T]):
    """Finds what a request leads to. choices: schemas with what they lead to; the last matches anything."""

    def __init__(self, choices: Iterable[tuple[Schema, T]]) -> None:
        self._choices = sorted(choices, key=lambda each: (each[0].precedence, each[0].name))
        self._named = frozenset(name for schema, _ in self._choices for name in schema.namespaces)
        self._memory: dict[tuple[Any, ...], T] = {}

    def find(self, user: User, info: RequestInfo) -> T:
        """Return the choice of the first schema that matches, in order of precedence and name."""
        key: tuple[Any, ...]
        if info.is_resource:
            namespace = info.namespace
            if namespace and namespace not in self._named:
                namespace = "*"
            key = (user.name, user.groups, info.verb, info.group, info.resource, info.subresource, namespace)
        else:
            key = (user.name, user.groups, info.verb, info.path)
        found = self._memory.get(key)
        return found if found is not None else self._decide(key, user, info)

    def _decide(self, key: tuple[Any, ...], user: User, info: RequestInfo) -> T:
        if len(self._memory) >= MAX_MEMORY:
            self._memory.clear()
        matching = (choice for schema, choice in self._choices if schema.matches(user, info))
        chosen = next(matching, self._choices[-1][1])
        self._memory[key] = chosen
        return chosen


def compile_schema(obj: Object) -> Schema:
    """Compile a FlowSchema."""
    spec = objects.spec(obj)
    rules = [_rule(rule) for rule in spec.get("rules") or ()]
    return Schema(
        name=objects.name(obj),
        uid=objects.uid(obj),
        level=(spec.get("priorityLevelConfiguration") or {}).get("name") or "",
        precedence=spec.get("matchingPrecedence") or 0,
        distinguisher=(spec.get("distinguisherMethod") or {}).get("type") or "",
        matches=lambda user, info: any(rule(user, info) for rule in rules),
        namespaces=frozenset(
            name
            for rule in spec.get("rules") or ()
            for each in rule.get("resourceRules") or ()
            for name in each.get("namespaces") or ()
        ),
    )


def _rule(rule: Mapping[str, Any]) -> Match:
    subjects = [_subject(subject) for subject in rule.get("subjects") or ()]
    resources = [_resource_rule(each) for each in rule.get("resourceRules") or ()]
    urls = [_url_rule(each) for each in rule.get("nonResourceRules") or ()]

    def matches(user: User, info: RequestInfo) -> bool:
        if not any(subject(user) for subject in subjects):
            return False
        return any(each(info) for each in (resources if info.is_resource else urls))

    return matches


def _subject(subject: Mapping[str, Any]) -> Callable[[User], bool]:
    kind = subject.get("kind")
    if kind == "User":
        name = (subject.get("user") or {}).get("name")
        return lambda user: name in ("*", user.name)
    if kind == "Group":
        group = (subject.get("group") or {}).get("name")
        return lambda user: group == "*" or group in user.groups
    account = subject.get("serviceAccount") or {}
    prefix = f"{SERVICE_ACCOUNT_PREFIX}{account.get('namespace')}:"
    if account.get("name") == "*":
        return lambda user: user.name.startswith(prefix)
    full = f"{prefix}{account.get('name')}"
    return lambda user: user.name == full


def _resource_rule(rule: Mapping[str, Any]) -> Callable[[RequestInfo], bool]:
    verbs, groups, resources, namespaces = (
        frozenset(rule.get(key) or ()) for key in ("verbs", "apiGroups", "resources", "namespaces")
    )
    is_global = bool(rule.get("clusterScope"))

    def matches(info: RequestInfo) -> bool:
        if not ({"*", info.verb} & verbs and {"*", info.group} & groups):
            return False
        wanted = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        if not {"*", wanted} & resources:
            return False
        return bool({"*", info.namespace} & namespaces) if info.namespace else is_global

    return matches


def _url_rule(rule: Mapping[str, Any]) -> Callable[[RequestInfo], bool]:
    verbs, urls = frozenset(rule.get("verbs") or ()), frozenset(rule.get("nonResourceURLs") or ())
    # what stands below a path matches too, with or without "/*"
    prefixes = tuple(url.removesuffix("*").rstrip("/") + "/" for url in urls)

    def matches(info: RequestInfo) -> bool:
        if not {"*", info.verb} & verbs:
            return False
        return "*" in urls or info.path in urls or info.path.startswith(prefixes)

    return matches
