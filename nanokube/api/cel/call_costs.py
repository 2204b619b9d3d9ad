"""Costs of Kubernetes' functions and of those of cel-go that depend on sizes. Pure; a table of rules.

Source: k8s.io/apiserver/pkg/cel/library/cost.go; cel-go checker/cost.go, ext/lists.go, ext/sets.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

from nanokube.api.cel.syntax import Call, Const, Expr
from nanokube.api.cel.types import Type

Pair = tuple[int, int]
Outcome = tuple[Pair, Pair | None]  # cost, size of the result

MAX: Final = 2**64 - 1
UNKNOWN: Final[Pair] = (0, MAX)
TRAVERSAL: Final = 0.1  # common/cost.go: reading a string once, by character
_REGEX: Final = 0.25  # by character of a pattern
_NEW_LIST: Final = 10
_NEW_STRUCT: Final = 40
_CHECK: Final = 350_000  # two authorization checks an expression
_MAX_FORMAT_REGEX: Final = 128
_MAX_FORMAT: Final = 64
_ADDRESS: Final = (4, 16)  # bytes


def add(left: Pair, right: Pair) -> Pair:
    """Add, saturating."""
    return min(left[0] + right[0], MAX), min(left[1] + right[1], MAX)


def times(left: Pair, right: Pair) -> Pair:
    """Multiply, saturating."""
    return min(left[0] * right[0], MAX), min(left[1] * right[1], MAX)


def times_factor(pair: Pair, factor: float) -> Pair:
    """Multiply and round up, saturating."""
    return _ceil(pair[0], factor), _ceil(pair[1], factor)


def union(left: Pair, right: Pair) -> Pair:
    """Widen to hold both."""
    return min(left[0], right[0]), max(left[1], right[1])


def _ceil(count: int, factor: float) -> int:
    product = count * factor
    return MAX if product >= MAX else math.ceil(product)


class Sizes(Protocol):
    """What a rule may ask of the walk."""

    is_runtime: bool

    def type(self, node: Expr) -> Type: ...

    def size_or_unknown(self, node: Expr) -> Pair: ...

    def element_size(self, node: Expr) -> Pair: ...


Rule = Callable[[Sizes, Call, str], Outcome | None]


def known(sizes: Sizes, node: Call, overload: str) -> Outcome | None:
    """Cost a call without its arguments, by its overload or its function; None if no rule speaks of it."""
    rule = _OVERLOADS.get(overload) or _FUNCTIONS.get(node.function)
    if rule is None and overload == "matches" and sizes.is_runtime:
        return _regex(sizes, node.args[0], node.args[1])
    return None if rule is None else rule(sizes, node, overload)


def _fixed(cost: int) -> Rule:
    return lambda _sizes, _node, _overload: ((cost, cost), None)


def _operands(node: Call) -> list[Expr]:
    return node.args if node.target is None else [node.target, *node.args]


def _traversal(factor: float = 1.0, *, keeps_size: bool = False) -> Rule:
    """Read the receiver, or the only argument, so many times."""

    def rule(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
        operands = _operands(node)
        if not operands:
            return None
        size = sizes.size_or_unknown(operands[0])
        return times_factor(size, factor * TRAVERSAL), size if keeps_size else None

    return rule


def _selector(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    size = sizes.size_or_unknown(node.args[0])
    requirements = times_factor(times_factor(size, 0.5), _NEW_LIST + _NEW_STRUCT)
    return add(add((_NEW_LIST, _NEW_LIST), times_factor(size, TRAVERSAL)), requirements), None


def _over_list(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None:
        return None
    size = sizes.size_or_unknown(node.target)
    given = sizes.type(node.target)
    if not given.params:  # a string
        return times_factor(size, TRAVERSAL), None
    each: Pair = (1, 1)
    if given.params[0].kind in ("string", "bytes"):
        each = add(each, times_factor(sizes.element_size(node.target), TRAVERSAL))
    return times(size, each), None


def _replace(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None or len(node.args) < 2:
        return None
    size = sizes.size_or_unknown(node.target)
    old, new = (sizes.size_or_unknown(arg) for arg in node.args[:2])
    most, least = _replacements(size[1], old[0], new[1]), _fewest(size[0], old[1], new[0])
    result = min(least[0] * new[0] + least[1], MAX), min(most[0] * new[1] + most[1], MAX)
    return times_factor(size, 2 * TRAVERSAL), result


def _replacements(size: int, old: int, new: int) -> tuple[int, int]:
    """How often at most something is replaced, and how much of the text stays."""
    if old == 0:
        return min(size + 1, MAX), size
    if new <= old:
        return 0, size
    return math.ceil(float(size) / old), 0


def _fewest(size: int, old: int, new: int) -> tuple[int, int]:
    if old == 0:
        return min(size + 1, MAX), size
    if old <= new:
        return 0, size
    return math.ceil(float(size) / old), 0


def _split(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None:
        return None
    size = sizes.size_or_unknown(node.target)
    most = size[1]
    if len(node.args) > 1 and isinstance(node.args[1], Const) and node.args[1].kind == "int":
        most = node.args[1].value % (MAX + 1)
    return times_factor(size, 2 * TRAVERSAL), (0, most)


def _join(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None:
        return None
    count = sizes.size_or_unknown(node.target)
    size: Pair = times(count, sizes.element_size(node.target))
    if node.args:
        between = max(count[0] - 1, 0), max(count[1] - 1, 0)
        size = add(size, times(sizes.size_or_unknown(node.args[0]), between))
    return times_factor(size, TRAVERSAL), size


def _regex(sizes: Sizes, text: Expr, pattern: Expr) -> Outcome:
    size = sizes.size_or_unknown(text)
    read = times_factor(add(size, (1, 1)), TRAVERSAL)
    return times(read, times_factor(sizes.size_or_unknown(pattern), _REGEX)), (0, size[1])


def _find(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    return None if node.target is None else _regex(sizes, node.target, node.args[0])


def _matches(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    return None if node.target is None else (_regex(sizes, node.target, node.args[0])[0], None)


def _contains(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None:
        return None
    text = times_factor(sizes.size_or_unknown(node.target), TRAVERSAL)
    return times(text, times_factor(sizes.size_or_unknown(node.args[0]), TRAVERSAL)), None


def _first_argument(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    return times_factor(sizes.size_or_unknown(node.args[0]), TRAVERSAL), None


def _ip(sizes: Sizes, node: Call, overload: str) -> Outcome | None:
    return ((1, 1), None) if overload == "cidr_ip" else _traversal()(sizes, node, overload)


def _contains_address(sizes: Sizes, node: Call, overload: str) -> Outcome | None:
    cost = times_factor(add(_ADDRESS, _ADDRESS), TRAVERSAL)
    if node.function == "containsCIDR":
        cost = add(add(cost, times_factor(_ADDRESS, TRAVERSAL)), (1, 1))
    if overload.endswith("_string"):
        cost = add(cost, times_factor(sizes.size_or_unknown(node.args[0]), TRAVERSAL))
    return cost, None


def _validate(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    read = times_factor(sizes.size_or_unknown(node.args[0]), TRAVERSAL)
    return times_factor(read, _MAX_FORMAT_REGEX * _REGEX), None


def _equals(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    left, right = (sizes.type(arg) for arg in node.args)
    if left != right or left.kind not in ("opaque", "struct"):
        return None
    if left.name == "kubernetes.NamedFormat":
        return times_factor((1, _MAX_FORMAT), TRAVERSAL), None
    if left.name == "kubernetes.URL":
        return times_factor((1, sizes.size_or_unknown(node.args[1])[1]), TRAVERSAL), None
    if left.name.startswith(("net.", "kubernetes.")):
        return (1, 1), None
    return None


def _bytes(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    size = sizes.size_or_unknown(node.args[0])
    return times_factor(size, TRAVERSAL), (size[0], min(size[1] * 4, MAX))


def _text(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    size = sizes.size_or_unknown(node.args[0])
    return times_factor(size, TRAVERSAL), (size[0] // 4, size[1])


def _quote(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    size = sizes.size_or_unknown(node.args[0])
    return times_factor(size, TRAVERSAL), (size[0] + 2, min(size[1] * 2 + 2, MAX))


def _in_list(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    return sizes.size_or_unknown(node.args[1]), None


def _sets(factor: int) -> Rule:
    def rule(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
        product = times(sizes.size_or_unknown(node.args[0]), sizes.size_or_unknown(node.args[1]))
        return add(times_factor(product, factor), (1, 1)), None

    return rule


def _allocating(size: Pair, factor: float = 1) -> Outcome:
    return add(times_factor(size, factor), (1 + _NEW_LIST, 1 + _NEW_LIST)), size


def _integer(node: Expr, default: int) -> int:
    if isinstance(node, Const) and node.kind == "int" and node.value >= 0:
        return int(node.value)
    return default


def _slice(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None:
        return None
    end = _integer(node.args[1], sizes.size_or_unknown(node.target)[1])
    size = max(end - _integer(node.args[0], 0), 0)
    return _allocating((size, size))


def _range(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    size = _integer(node.args[0], MAX)
    return _allocating((size, size))


def _reverse(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    return None if node.target is None else _allocating(sizes.size_or_unknown(node.target))


def _flatten(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    depth = _integer(node.args[0], MAX) if node.args else 1
    return None if node.target is None else _allocating(sizes.size_or_unknown(node.target), depth)


def _distinct(sizes: Sizes, node: Call, _overload: str) -> Outcome | None:
    if node.target is None:
        return None
    size = sizes.size_or_unknown(node.target)
    return _allocating(times(size, size), 2)


def _sort(sizes: Sizes, node: Call, overload: str) -> Outcome | None:
    if node.target is None:
        return None
    size = sizes.size_or_unknown(node.args[0] if node.args else node.target)
    factor = 2 + TRAVERSAL if overload.startswith(("list_string", "list_bytes")) else 2
    return _allocating(times(size, size), factor)


def _group(cost: Any, *names: str) -> dict[str, Rule]:
    rule = _fixed(cost) if isinstance(cost, int) else cost
    return dict.fromkeys(names, rule)


# by function; they hold for every overload
_FUNCTIONS: dict[str, Rule] = {
    "check": _fixed(_CHECK),
    **_group(1, "serviceAccount", "path", "group", "resource", "subresource", "namespace", "name"),
    **_group(1, "allowed", "reason", "error", "errored", "format.named"),
    **_group(_selector, "fieldSelector", "labelSelector"),
    **_group(_over_list, "isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"),
    **_group(
        _traversal(keeps_size=True),
        "url",
        "jsonpatch.escapeKey",
        "lowerAscii",
        "upperAscii",
        "substring",
        "trim",
    ),
    "replace": _replace,
    "split": _split,
    "join": _join,
    **_group(_find, "find", "findAll"),
    **_group(_traversal(), "cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"),
    "ip": _ip,
    "ip.isCanonical": _traversal(2),
    **_group(1, "masked", "prefixLength", "family", "isUnspecified", "isLoopback", "isGlobalUnicast"),
    **_group(1, "isLinkLocalMulticast", "isLinkLocalUnicast"),
    **_group(_contains_address, "containsIP", "containsCIDR"),
    "validate": _validate,
    **_group(1, "sign", "asInteger", "isInteger", "asApproximateFloat", "isGreaterThan", "isLessThan"),
    **_group(1, "compareTo", "add", "sub", "major", "minor", "patch"),
    **_group(1, "getScheme", "getHostname", "getHost", "getPort", "getEscapedPath", "getQuery"),
    "_==_": _equals,
}
_KINDS = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
# by overload; looked up first
_OVERLOADS: dict[str, Rule] = {
    "list_slice": _slice,
    "lists_range": _range,
    "list_reverse": _reverse,
    "list_flatten": _flatten,
    "list_flatten_int": _flatten,
    "list_distinct": _distinct,
    **{f"list_{kind}_sort": _sort for kind in _KINDS},
    **{f"list_{kind}_sortByAssociatedKeys": _sort for kind in _KINDS},
    "list_sets_contains_list": _sets(1),
    "list_sets_intersects_list": _sets(1),
    "list_sets_equivalent_list": _sets(2),
    "string_format": _traversal(),
    "string_to_bytes": _bytes,
    "bytes_to_string": _text,
    "strings_quote": _quote,
    "starts_with_string": _first_argument,
    "ends_with_string": _first_argument,
    "in_list": _in_list,
    "matches_string": _matches,
    "contains_string": _contains,
}
