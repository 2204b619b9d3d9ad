"""The C++ runtime and what we add to it: Kubernetes' functions and opaque values. Pure.

Functions of ours take one list, whatever they take in CEL, because the runtime tells overloads apart by
the kinds of their parameters and has no kind for "anything"; `lower` writes the calls so. Opaque values
(quantities, addresses) are messages of one string field, which the functions read and write.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

from nanokube.api.cel import types
from nanokube.api.cel.library import functions as library
from nanokube.api.cel.library.opaque import Opaque

PREFIX = "nk_"
_NATIVE = cel.Type
_ARGUMENTS = _NATIVE.List(_NATIVE.DYN)
_OPAQUE = (*types.VALUE_TYPES, *types.AUTHORIZER_TYPES)
_NANOSECOND = 10**9


@functools.cache
def environment() -> Any:
    """Make the one environment of the process; building it takes some milliseconds."""
    declared = [_declare(name, function) for name, function in library.FUNCTIONS.items()]
    extensions = [
        ext_strings.ExtStrings(),
        ext_math.ExtMath(),
        ext_optional.ExtOptional(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]
    return cel.NewEnv(_pool(), functions=declared, extensions=extensions)


@functools.cache
def _parser(bindings: bool) -> Any:
    """Make an environment with the macros of optionals, and cel.bind if asked."""
    extensions = [ext_optional.ExtOptional(), *([ext_bindings.ExtBindings()] if bindings else [])]
    return cel.NewEnv(extensions=extensions)


def parse(source: str, *, bindings: bool = False) -> bytes:
    """Parse an expression into a serialized ParsedExpr. Raises SyntaxFault.

    bindings: with the macro cel.bind.
    """
    try:
        return bytes(_parser(bindings).compile(source, disable_check=True).serialize())
    except RuntimeError as err:
        raise SyntaxFault(re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", str(err))) from err


class SyntaxFault(Exception):
    """The expression does not parse; the text is the library's, as cel-go's parser has it."""


def load(encoded: bytes) -> Any:
    """Make an expression that can be evaluated of a serialized ParsedExpr."""
    return environment().deserialize(encoded)


def activation(values: dict[str, Any]) -> Any:
    """Bind variables; each is converted when first used, and once."""
    return environment().Activation(values)


def evaluate(expression: Any, bound: Any) -> tuple[Any, str | None]:
    """Evaluate. Gives the value, or what went wrong in cel-go's words."""
    try:
        result = expression.eval(bound)
        kind = result.type()
        if kind == _NATIVE.ERROR:
            return None, message(str(result.value()))
        return result.plain_value(), None
    except RuntimeError as err:
        return None, message(str(err))


_MESSAGES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r'Key not found in map : "(.*)"', re.DOTALL), r"no such key: \1"),
    (re.compile(r"Key not found in map : (.*)", re.DOTALL), r"no such key: \1"),
    (re.compile(r"Index error: index=(-?\d+) size=\d+"), r"index out of bounds: \1"),
    (re.compile(r"divide by zero"), "division by zero"),
    (re.compile(r"modulus by zero"), "modulus by zero"),
    (re.compile(r"(?:unsigned )?integer overflow"), "integer overflow"),
    (re.compile(r"No matching overloads found.*", re.DOTALL), "no such overload"),
    (re.compile(r"Applying SELECT to non-message type"), "no such overload"),
    (re.compile(r'No value with name "(.*)" found in Activation'), r"no such attribute(s): \1"),
    (re.compile(r"cannot convert (string) to (\w+)"), r"type conversion error from '\1' to '\2'"),
    (re.compile(r"duplicate key in map"), "Failed with repeated key"),
)


def message(text: str) -> str:
    """Say an error of the library in cel-go's words."""
    text = re.sub(r"^[A-Z_]+: ", "", re.sub(r" \[[A-Z_]+\]$", "", text))
    for pattern, replacement in _MESSAGES:
        found = pattern.fullmatch(text)
        if found is not None:
            return found.expand(replacement)
    return text


def is_iteration_limit(text: str) -> bool:
    """Whether the library gave up because one evaluation looped more than 10,000 times."""
    return text == "Iteration budget exceeded"


# --- values ---------------------------------------------------------------------------------------------


def to_native(value: Any) -> Any:
    """Convert a value that the library would not take: opaque values, times, unsigned integers, tuples."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case Opaque():
            return _classes()[value.type_name](v=value.text)
        case datetime.datetime():
            return timestamp(value)
        case datetime.timedelta():
            return duration(value)
        case dict():
            return {key: to_native(item) for key, item in value.items()}
        case list() | tuple():
            return [to_native(item) for item in value]
    return value


def from_native(value: Any) -> Any:
    """Undo `to_native` for what the library hands out."""
    match value:
        case bytearray():
            return bytes(value)
        case list():
            return [from_native(item) for item in value]
        case dict():
            return {key: from_native(item) for key, item in value.items()}
        case None | bool() | int() | float() | str():
            return value
    made = _opaque_names().get(getattr(getattr(value, "DESCRIPTOR", None), "full_name", ""))
    return value if made is None else made(value.v)


def timestamp(moment: datetime.datetime, nanos: int | None = None) -> Any:
    """Make the message of a moment; nanos, if given, are its fraction of a second."""
    seconds = (moment - _EPOCH) // datetime.timedelta(seconds=1)
    fraction = moment.microsecond * 1000 if nanos is None else nanos
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=fraction)


def duration(span: datetime.timedelta) -> Any:
    """Make the message of a span of time."""
    return span_of((span // datetime.timedelta(microseconds=1)) * 1000)


def span_of(nanoseconds: int) -> Any:
    """Make the message of a span in nanoseconds; seconds and nanos have one sign."""
    sign = -1 if nanoseconds < 0 else 1
    seconds, nanos = divmod(abs(nanoseconds), _NANOSECOND)
    return duration_pb2.Duration(seconds=sign * seconds, nanos=sign * nanos)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _declare(name: str, function: Callable[..., Any]) -> Any:
    def call(args: Sequence[Any]) -> Any:
        try:
            return to_native(function(*map(from_native, args)))
        except (ValueError, TypeError, ArithmeticError) as err:
            raise ValueError(str(err)) from None

    registered = PREFIX + name
    overload = cel.Overload(registered, return_type=_NATIVE.DYN, parameters=[_ARGUMENTS], impl=call)
    return cel.FunctionDecl(registered, [overload])


@functools.cache
def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for module in (timestamp_pb2, duration_pb2, struct_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    files: dict[str, Any] = {}
    for declared in _OPAQUE:
        package, _, name = declared.name.rpartition(".")
        file = files.setdefault(
            package,
            descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3"),
        )
        file.message_type.add(name=name).field.add(name="v", number=1, type=9, label=1)
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return pool


@functools.cache
def _classes() -> dict[str, Any]:
    pool = _pool()
    return {t.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(t.name)) for t in _OPAQUE}


@functools.cache
def _opaque_names() -> dict[str, type[Opaque]]:
    return {made.type_name: made for made in library.OPAQUE}
