"""The table of functions that the runtime lacks, by the name that `lower` calls them. Pure.

One function serves all overloads of its name: it looks at what it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanokube.api.cel import metering
from nanokube.api.cel.library import (
    addresses,
    authorization,
    formats,
    kept,
    lists,
    opaque,
    quantities,
    regexes,
    shapes,
    urls,
    versions,
)
from nanokube.api.cel.library.opaque import NamedFormat, NoSuchOverload, Quantity, Semver

OPAQUE = opaque.ALL


def _fail(message: str) -> None:
    raise ValueError(message)


def _compare(left: Any, right: Any) -> int:
    if isinstance(left, Quantity):
        return quantities.compare(left, right)
    if isinstance(left, Semver):
        return versions.compare(left, right)
    raise NoSuchOverload


def _index_of(given: Any, *args: Any) -> int:
    if isinstance(given, str):
        return given.find(*args)
    return lists.index_of(given, *args)


def _last_index_of(given: Any, wanted: Any, *end: Any) -> int:
    if isinstance(given, str):
        return given.rfind(wanted, 0, end[0] + len(wanted)) if end else given.rfind(wanted)
    return lists.last_index_of(given, wanted)


def _escape_key(text: str) -> str:
    # Go's replacer goes through the text once, so nothing is escaped twice
    return text.replace("~", "~0").replace("/", "~1")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sets.contains": lists.contains_all,
    "sets.equivalent": lists.equivalent,
    "sets.intersects": lists.intersects,
    "@isOneOf": kept.is_one_of,
    "slice": lists.slice_of,
    "flatten": lists.flatten,
    "lists.range": lists.range_to,
    "reverse": lists.reverse,
    "distinct": lists.distinct,
    "sort": lists.sort,
    "@sortByAssociatedKeys": lists.sort_by,
    "isSorted": lists.is_sorted,
    "sum": lists.total,
    "min": lists.least,
    "max": lists.most,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "find": regexes.find,
    "findAll": regexes.find_all,
    "@matches": kept.matches,
    "url": urls.parse,
    "isURL": urls.is_url,
    "getScheme": urls.scheme,
    "getHost": urls.host,
    "getHostname": urls.hostname,
    "getPort": urls.port,
    "getEscapedPath": urls.escaped_path,
    "getQuery": urls.query,
    "quantity": quantities.parse,
    "isQuantity": quantities.is_quantity,
    "sign": quantities.sign,
    "isGreaterThan": lambda left, right: _compare(left, right) > 0,
    "isLessThan": lambda left, right: _compare(left, right) < 0,
    "compareTo": _compare,
    "asApproximateFloat": quantities.as_float,
    "asInteger": quantities.as_integer,
    "isInteger": quantities.is_integer,
    "add": quantities.add,
    "sub": quantities.sub,
    "semver": versions.parse,
    "isSemver": versions.is_semver,
    "major": versions.major,
    "minor": versions.minor,
    "patch": versions.patch,
    "ip": addresses.ip,
    "isIP": addresses.is_ip,
    "ip.isCanonical": addresses.is_canonical,
    "string": addresses.to_string,
    "family": addresses.family,
    "isUnspecified": addresses.is_unspecified,
    "isLoopback": addresses.is_loopback,
    "isLinkLocalMulticast": addresses.is_link_local_multicast,
    "isLinkLocalUnicast": addresses.is_link_local_unicast,
    "isGlobalUnicast": addresses.is_global_unicast,
    "cidr": addresses.cidr,
    "isCIDR": addresses.is_cidr,
    "containsIP": addresses.contains_ip,
    "containsCIDR": addresses.contains_cidr,
    "prefixLength": addresses.prefix_length,
    "masked": addresses.masked,
    "validate": formats.validate,
    "format.named": formats.named,
    "@format": NamedFormat,
    "path": authorization.path,
    "group": authorization.group,
    "serviceAccount": authorization.service_account,
    "resource": authorization.resource,
    "subresource": authorization.narrowing("subresource"),
    "namespace": authorization.narrowing("namespace"),
    "name": authorization.narrowing("name"),
    "fieldSelector": authorization.narrowing("field_selector"),
    "labelSelector": authorization.narrowing("label_selector"),
    "check": authorization.check,
    "errored": authorization.errored,
    "error": authorization.error,
    "allowed": authorization.allowed,
    "reason": authorization.reason,
    "jsonpatch.escapeKey": _escape_key,
    "@mapOf": lists.map_of,
    "@equal": lists.equal,
    "@equalAs": shapes.equal,
    "@addAs": shapes.add,
    "@fail": _fail,
    "@tick": metering.tick,
}
