"""Bodies in YAML, read as Go clients wrote them. Pure.

Scalars are what sigs.k8s.io/yaml makes of them (YAML 1.1 with the surprises its parser kept): `=` and 1:30
are text, y and on are true, 1e3 is a number, timestamps stay text. Keys become strings.
Source: go.yaml.in/yaml/v2 resolve.go, sigs.k8s.io/yaml yaml.go.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from nanokube.api import errors, jsonkeys

_DEPTH_MAX: Final = 500  # half of what Python's recursion limit lets construct
_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_BOOL: Final = r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
_INT: Final = r"[-+]?(0|[1-9][0-9_]*|0_?[0-7][0-7_]*|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)"
_FLOAT: Final = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_RESOLVERS: Final = (  # in the order they are tried; with the characters that such scalars begin with
    ("bool", _BOOL, "yYnNtTfFoO"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", "<<", "<"),
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Remembers duplicate keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 -- PyYAML's own way
    duplicates: list[str]

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                self.duplicates.append(f'line {line}: key "{key}" already set in map')
            seen.add(key)
        self.flatten_mapping(node)
        return {
            _key(self.construct_object(key, deep=True)): self.construct_object(value, deep=True)
            for key, value in node.value
        }


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    found: dict[str, Any] = loader.construct_mapping(node, deep=True)
    return found


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise yaml.YAMLError(f"unsupported map key: {key}")


def _text(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _bool(loader: Any, node: Any) -> bool:
    return loader.construct_scalar(node) in _TRUE


def _int(loader: Any, node: Any) -> int | float | str:
    """Read a number; one that no float holds is text, as it is to Go."""
    text = loader.construct_scalar(node).replace("_", "")
    digits = text.lstrip("+-")
    is_octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    try:
        found = int(digits, 8 if is_octal else 0) * (-1 if text[0] == "-" else 1)
        return found if -(1 << 63) <= found < 1 << 64 else float(found)
    except (OverflowError, ValueError):  # Python reads no more than 4,300 digits
        return str(loader.construct_scalar(node))


def _float(loader: Any, node: Any) -> float:
    text = loader.construct_scalar(node).lower()
    if "n" in text:
        raise yaml.YAMLError(f"json: unsupported value: {text}")
    return float(text)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes what either of both readers would not take for text."""

    def text(self, value: str) -> yaml.ScalarNode:
        """Represent a text."""
        is_taken = self.resolve(yaml.ScalarNode, value, (True, False)) == f"{_TAG}str"
        style = "|" if "\n" in value else None if is_taken else '"'
        found: yaml.ScalarNode = self.represent_scalar(f"{_TAG}str", value, style=style)
        return found


_Dumper.add_representer(str, _Dumper.text)

for _name, _pattern, _first in _RESOLVERS:
    for _each in (_Loader, _Dumper):
        _each.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))
for _name, _make in (
    ("map", _mapping),
    ("bool", _bool),
    ("int", _int),
    ("float", _float),
    ("timestamp", _text),
    ("value", _text),
):
    _Loader.add_constructor(_TAG + _name, _make)


def parse(body: bytes) -> tuple[Any, list[str]]:
    """Parse YAML; return the tree and what was said of duplicate keys. Raises ApiError (400)."""
    found = _as_json(body)
    return (found, []) if found is not None else _parse(body)


def dump(tree: Any) -> bytes:
    """Write YAML as upstream does: keys in order, in double quotes what a reader would not take for text."""
    found: bytes = yaml.dump(tree, Dumper=_Dumper, sort_keys=True, allow_unicode=True, encoding="utf-8")
    return found


def _as_json(body: bytes) -> Any:
    """Read what is JSON, as most applied configurations are: a hundred times as fast. None: not quite."""
    if not body.startswith(b"{"):
        return None
    try:
        return None if jsonkeys.duplicates(body) else msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _parse(body: bytes) -> tuple[Any, list[str]]:
    loader = None
    try:
        _check_events(body)
        loader = _Loader(body)
        loader.duplicates = []
        return loader.get_single_data(), loader.duplicates
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise errors.bad_request(f"error converting YAML to JSON: yaml: {_told(err)}") from err
    finally:
        if loader is not None:
            loader.dispose()


def _told(err: Exception) -> str:
    """Word an error as Go's port of libyaml does, with its idea of the line."""
    if not isinstance(err, yaml.MarkedYAMLError):
        return " ".join(str(err).split())
    mark = next((m for m in (err.context_mark, err.problem_mark) if m is not None and m.line), None)
    line = 0 if mark is None else mark.line + isinstance(err, yaml.scanner.ScannerError)
    return f"line {line}: {err.problem}" if line else f"{err.problem}"


def _check_events(body: bytes) -> None:
    """Refuse what makes a small body a big effort: repetition, and depth (the scanner is quadratic in it)."""
    depth = 0
    for event in yaml.parse(body, _Loader):
        if isinstance(event, yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")  # CVE-2019-11253
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH_MAX:
            raise yaml.YAMLError(f"nested deeper than {_DEPTH_MAX} levels")
