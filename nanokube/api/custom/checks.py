"""Schemas compiled into functions that check values: types, ranges, patterns, required fields. Pure.

A schema becomes a table from the type of a value to the steps that check such a value; a string without
restrictions has none. Steps, their order and their words are those of kube-openapi's validators.
Source: kube-openapi/pkg/validation/{validate,errors}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from nanokube.api import field
from nanokube.api.custom import formats, patterns
from nanokube.api.custom.problems import Path, Problems, show

Schema = Mapping[str, Any]
Step = Callable[[Any, Path, Problems], None]
Steps = tuple[Step, ...]
Table = Mapping[type, Steps]

_KINDS: Final[Mapping[type, tuple[str, str]]] = {
    str: ("string", ""),
    bool: ("boolean", ""),
    int: ("integer", "int64"),
    float: ("number", "float64"),
    list: ("array", ""),
    dict: ("object", ""),
}
_NONE: Final = type(None)
_MAX_INT32: Final = (1 << 31) - 1
_MAX_INT64: Final = (1 << 63) - 1
_MAX_SAFE: Final = (1 << 53) - 1  # what a JSON number says exactly, if it is a float
_MAX_FLOAT32: Final = 3.4028234663852886e38
# keys that restrict values no further than their type does, or not at all
_PLAIN: Final = frozenset(
    ("type", "format", "nullable", "title", "description", "default", "example", "externalDocs")
)
_JUNCTORS: Final = ("anyOf", "oneOf", "allOf", "not")


def compile_table(schema: Schema) -> Table:
    """Make the steps of a schema for each type of value."""
    if schema.keys() <= _PLAIN:
        return _plain(schema.get("type") or "", schema.get("format") or "", bool(schema.get("nullable")))
    return _compile(schema)


@lru_cache
def _plain(type_: str, format_: str, nullable: bool) -> Table:
    """Make the table of a schema that says no more: most are of few kinds, which share their tables."""
    return _compile({"type": type_, "format": format_, "nullable": nullable})


def _compile(schema: Schema) -> Table:
    table: dict[type, list[Step]] = {kind: [] for kind in _KINDS}
    types = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else []
    if not types and schema.get("type"):
        types = [schema["type"]]
    format_ = formats.of(schema)
    for kind, steps in table.items():
        _add_type(steps, kind, types, format_)
    junctors = [step for name in _JUNCTORS if schema.get(name) for step in (_JUNCTOR[name](schema[name]),)]
    for steps in table.values():
        steps += junctors
    table[str] += _string_steps(schema, format_)
    table[int] += _number_steps(schema, types, format_)
    table[float] += _number_steps(schema, types, format_)
    table[list] += _list_steps(schema)
    if schema.get("enum"):
        for steps in table.values():
            steps.append(_enum(schema["enum"]))
    table[dict] += _object_steps(schema)
    return {kind: tuple(steps) for kind, steps in table.items()} | {_NONE: _null_steps(schema, types)}


def run(table: Table, value: Any, path: Path, problems: Problems) -> None:
    """Check a value."""
    for step in table[type(value)]:
        step(value, path, problems)


def _null_steps(schema: Schema, types: list[str]) -> Steps:
    steps: list[Step] = []
    if types and not schema.get("nullable"):
        wanted = ",".join(types)
        steps.append(lambda value, path, problems: problems.wrong_type(path, wanted, "null"))
    if schema.get("enum"):
        steps.append(_enum(schema["enum"]))
    return tuple(steps)


def _add_type(steps: list[Step], kind: type, types: list[str], format_: str) -> None:
    """Add the step that refuses values of a type that the schema does not have."""
    name, native = _KINDS[kind]
    if kind is int and "integer" in types:
        steps.append(_refuse_wide(types, format_))
        return
    is_known = name in types or (kind is int and "number" in types)
    if is_known or (not types and (not format_ or kind in (str, list))):
        return
    if format_ and kind in (str, list) and not {"number", "integer"} & set(types):
        return
    wanted, found = (format_, native) if format_ and kind not in (str, list) else (",".join(types), name)

    def refuse(value: Any, path: Path, problems: Problems) -> None:
        problems.wrong_type(path, wanted, found)

    def refuse_fraction(value: float, path: Path, problems: Problems) -> None:
        if not value.is_integer() or abs(value) > _MAX_SAFE:
            problems.wrong_type(path, wanted, found)

    steps.append(refuse_fraction if kind is float and "integer" in types else refuse)


def _refuse_wide(types: list[str], format_: str) -> Step:
    """Refuse numbers beyond int64, which Go reads as floats."""
    wanted, found = (format_, "float64") if format_ else (",".join(types), "number")

    def refuse(value: int, path: Path, problems: Problems) -> None:
        if not -_MAX_INT64 - 1 <= value <= _MAX_INT64:
            problems.wrong_type(path, wanted, found)

    return refuse


# strings


def _string_steps(schema: Schema, format_: str) -> list[Step]:
    found: list[Step] = []
    longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if longest is not None or shortest is not None or pattern:
        found.append(_string(longest, shortest, pattern or ""))
    is_valid = formats.check(format_) if format_ else None
    if is_valid is not None:
        found.append(_format(format_, is_valid))
    return found


def _string(longest: int | None, shortest: int | None, pattern: str) -> Step:
    try:
        matches, wanted = patterns.compile(pattern) if pattern else None, f"should match '{pattern}'"
    except patterns.BadPattern as error:
        wanted = f"should match '{pattern}, but pattern is invalid: {error}'"
        matches = lambda text: False  # noqa: E731

    def check(value: str, path: Path, problems: Problems) -> None:
        if longest is not None and len(value) > longest:
            problems.append(field.too_long(problems.place(show(path)), longest))
        elif shortest is not None and len(value) < shortest:
            problems.invalid(path, value, f"should be at least {shortest} chars long")
        elif matches is not None and not matches(value):
            problems.invalid(path, value, wanted)

    return check


def _format(format_: str, is_valid: formats.Check) -> Step:
    def check(value: str, path: Path, problems: Problems) -> None:
        if not is_valid(value):
            name = show(path)
            detail = f"{name} in body must be of type {format_}: {field.quote(value)}"
            problems.append(field.type_invalid(problems.place(name), value, detail))

    return check


# numbers


def show_number(value: float) -> str:
    """Print a number as Go's %v."""
    if type(value) is int:
        return str(value)
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    whole, _, rest = mantissa.lstrip("-").partition(".")
    digits = (whole + rest).lstrip("0").rstrip("0") or "0"
    power = int(exponent) if exponent else len(whole) - 1
    if whole == "0" and value and not exponent:
        power = -1 - (len(rest) - len(rest.lstrip("0")))
    if -4 <= power < max(21, len(digits)):
        return str(int(value)) if float(value).is_integer() else text if not exponent else f"{value:f}"
    sign = "-" if value < 0 else ""
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{power:+03d}"


def _number_steps(schema: Schema, types: list[str], format_: str) -> list[Step]:
    found: list[Step] = []
    type_ = types[0] if len(types) == 1 and types[0] in ("integer", "number") else ""
    if type_ == "integer" or format_ == "float":
        found.append(_range(type_, format_))
    if schema.get("multipleOf") is not None:
        found.append(_multiple(schema["multipleOf"]))
    if schema.get("minimum") is not None:
        found.append(_minimum(schema["minimum"], bool(schema.get("exclusiveMinimum"))))
    if schema.get("maximum") is not None:
        found.append(_maximum(schema["maximum"], bool(schema.get("exclusiveMaximum"))))
    return found


def _range(type_: str, format_: str) -> Step:
    """Check what fits into the type: int64 if nothing else is said."""
    limit = _MAX_FLOAT32 if format_ == "float" else _MAX_INT32 if format_ == "int32" else _MAX_INT64
    said = f"with format {format_}" if format_ else "(default format)"

    def check(value: float, path: Path, problems: Problems) -> None:
        is_whole = type_ != "integer" or type(value) is int or value == int(value)
        if not is_whole or not -limit - 1 <= value <= limit:
            problems.whole(f"Checked value must be of type {type_} {said} in {show(path)}")

    return check


def _multiple(factor: float) -> Step:
    def check(value: float, path: Path, problems: Problems) -> None:
        used = int(factor) if type(value) is int else factor
        if used <= 0:
            name = show(path)
            detail = f"factor MultipleOf declared for {name} must be positive: {show_number(used)}"
            problems.append(field.invalid(problems.place(name), used, detail))
            return
        quotient = value / used if used >= 1 else 1 / used * value
        is_multiple = value % used == 0 if type(value) is int else abs(quotient - round(quotient)) < 1e-9
        if not is_multiple:
            problems.invalid(path, value, f"should be a multiple of {show_number(used)}")

    return check


def _minimum(limit: float, is_exclusive: bool) -> Step:
    words = "should be greater than" if is_exclusive else "should be greater than or equal to"

    def check(value: float, path: Path, problems: Problems) -> None:
        used = int(limit) if type(value) is int else limit
        if value < used or (is_exclusive and value == used):
            problems.invalid(path, value, f"{words} {show_number(used)}")

    return check


def _maximum(limit: float, is_exclusive: bool) -> Step:
    words = "should be less than" if is_exclusive else "should be less than or equal to"

    def check(value: float, path: Path, problems: Problems) -> None:
        used = int(limit) if type(value) is int else limit
        if value > used or (is_exclusive and value == used):
            problems.invalid(path, value, f"{words} {show_number(used)}")

    return check


# enumerations


def _enum(allowed: list[Any]) -> Step:
    shown = [each if type(each) is str else field.quote(each) for each in allowed]
    texts = frozenset(each for each in allowed if type(each) is str)

    def check(value: Any, path: Path, problems: Problems) -> None:
        kind = type(value)
        if kind is str:
            is_member = value in texts
        elif kind is bool:
            is_member = any(each is value for each in allowed)
        else:
            is_member = value is not None and any(
                type(each) is not bool and each == value for each in allowed
            )
        if not is_member:
            problems.append(field.not_supported(problems.place(show(path)), value, shown))

    return check


# lists


def _list_steps(schema: Schema) -> list[Step]:
    found: list[Step] = []
    items = schema.get("items")
    if type(items) is dict:
        table = compile_table(items)
        if any(table.values()):
            found.append(_items(table))
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    if fewest is not None or most is not None:
        found.append(_length(fewest, most))
    return found


def _items(table: Table) -> Step:
    def check(value: list[Any], path: Path, problems: Problems) -> None:
        for index, item in enumerate(value):
            steps = table[type(item)]
            if steps:
                start, here = len(problems), (path, index)
                for step in steps:
                    step(item, here, problems)
                if len(problems) > start:
                    problems.forgive(here, start)

    return check


def _length(fewest: int | None, most: int | None) -> Step:
    def check(value: list[Any], path: Path, problems: Problems) -> None:
        if fewest is not None and len(value) < fewest:
            problems.invalid(path, len(value), f"should have at least {fewest} items")
        if most is not None and len(value) > most:
            problems.append(field.too_many(problems.place(show(path)), len(value), most))

    return check


# objects


def _object_steps(schema: Schema) -> list[Step]:
    found: list[Step] = []
    fewest, most = schema.get("minProperties"), schema.get("maxProperties")
    if fewest is not None or most is not None:
        found.append(_size(fewest, most))
    others, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if others is False:
        found.append(_no_others(frozenset(properties)))
    tables = {key: compile_table(each) for key, each in properties.items()}
    other = compile_table(others) if type(others) is dict else {}
    if any(other.values()) or any(any(t.values()) for t in tables.values()):
        found.append(_members(tables, other))
    if schema.get("required"):
        found.append(_required(tuple(schema["required"])))
    return found


def _members(tables: Mapping[str, Table], other: Table) -> Step:
    def check(value: dict[str, Any], path: Path, problems: Problems) -> None:
        for key, member in value.items():
            steps = tables.get(key, other).get(type(member))
            if steps:
                start, here = len(problems), (path, key)
                for step in steps:
                    step(member, here, problems)
                if len(problems) > start:
                    problems.forgive(here, start)

    return check


def _required(keys: tuple[str, ...]) -> Step:
    wanted = frozenset(keys)

    def check(value: dict[str, Any], path: Path, problems: Problems) -> None:
        if not wanted <= value.keys():
            problems += (field.required(problems.place(show((path, k)))) for k in keys if k not in value)

    return check


def _no_others(known: frozenset[str]) -> Step:
    def check(value: dict[str, Any], path: Path, problems: Problems) -> None:
        for key in value:
            if key not in known:
                problems.invalid(path, key, "is a forbidden property", suffix=f".{key}")

    return check


def _size(fewest: int | None, most: int | None) -> Step:
    def check(value: dict[str, Any], path: Path, problems: Problems) -> None:
        if fewest is not None and len(value) < fewest:
            problems.invalid(path, len(value), f"should have at least {fewest} properties")
        if most is not None and len(value) > most:
            problems.append(field.too_many(problems.place(show(path)), len(value), most))

    return check


# junctors


def _alternative(schema: Schema) -> Callable[[Any, Path, Problems], Problems]:
    table = compile_table(schema)

    def errors_of(value: Any, path: Path, problems: Problems) -> Problems:
        found = problems.branch()
        run(table, value, path, found)
        return found

    return errors_of


def _any_of(schemas: list[Schema]) -> Step:
    alternatives = [(each, _alternative(each)) for each in schemas]

    def check(value: Any, path: Path, problems: Problems) -> None:
        best: tuple[int, Problems] | None = None
        for schema, errors_of in alternatives:
            found = errors_of(value, path, problems)
            if not found:
                return
            count = _matches(schema, value)
            if best is None or count > best[0]:
                best = count, found
        problems.whole(f"{field.quote(show(path))} must validate at least one schema (anyOf)")
        problems += best[1] if best else ()

    return check


def _one_of(schemas: list[Schema]) -> Step:
    alternatives = [(each, _alternative(each)) for each in schemas]

    def check(value: Any, path: Path, problems: Problems) -> None:
        best: tuple[int, Problems] | None = None
        valid = 0
        for schema, errors_of in alternatives:
            found = errors_of(value, path, problems)
            if not found:
                valid, best = valid + 1, None
            elif not valid:
                count = _matches(schema, value)
                best = (count, found) if best is None or count > best[0] else best
        if valid == 1:
            return
        said = f"Found {valid} valid alternatives" if valid else "Found none valid"
        problems.whole(f"{field.quote(show(path))} must validate one and only one schema (oneOf). {said}")
        problems += best[1] if best else ()

    return check


def _all_of(schemas: list[Schema]) -> Step:
    parts = [_alternative(each) for each in schemas]

    def check(value: Any, path: Path, problems: Problems) -> None:
        valid = 0
        for errors_of in parts:
            found = errors_of(value, path, problems)
            valid += not found
            problems += found
        if valid != len(parts):
            said = "" if valid else ". None validated"
            problems.whole(f"{field.quote(show(path))} must validate all the schemas (allOf){said}")

    return check


def _not(schema: Schema) -> Step:
    errors_of = _alternative(schema)

    def check(value: Any, path: Path, problems: Problems) -> None:
        if not errors_of(value, path, problems):
            problems.whole(f"{field.quote(show(path))} must not validate the schema (not)")

    return check


_JUNCTOR: Final[Mapping[str, Callable[[Any], Step]]] = {
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": _all_of,
    "not": _not,
}


def _matches(schema: Schema, value: Any) -> int:
    """Count how far a value fits an alternative: upstream shows the errors of the one that fits best."""
    count, kind = 1, _KINDS.get(type(value), ("null", ""))[0]
    if schema.get("type"):
        is_typed = schema["type"] == kind or (kind, schema["type"]) == ("integer", "number")
        count += 2 if is_typed else 1
    for each in (*(schema.get("anyOf") or ()), *(schema.get("allOf") or ()), *(schema.get("oneOf") or ())):
        count += _matches(each, value)
    if type(value) is dict:
        properties = schema.get("properties") or {}
        count += sum(_matches(properties[k], v) for k, v in value.items() if k in properties)
    elif type(value) is list and type(schema.get("items")) is dict:
        count += sum(_matches(schema["items"], v) for v in value)
    return count
