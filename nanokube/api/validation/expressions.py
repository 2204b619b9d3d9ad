"""CEL expressions that built-in kinds hold: webhooks, admission policies, selectors of devices. Pure.

Source: pkg/apis/admissionregistration/validation/validation.go, pkg/apis/resource/validation/validation.go,
dynamic-resource-allocation/cel/compile.go.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

from nanokube.api import field
from nanokube.api.cel import admission, types
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.environment import Environment
from nanokube.api.cel.errors import CompileError, ResultTypeError
from nanokube.api.cel.types import Type
from nanokube.api.field import FieldError

BOOL: Final = (types.BOOL,)
TEXT: Final = (types.STRING,)
TEXT_OR_NULL: Final = (types.STRING, types.NULL)
ANY: Final = (types.DYN,)
PATCHES: Final = (types.list_of(types.JSON_PATCH),)
OBJECT: Final = (admission.OBJECT,)

_DEVICE_COST: Final = 1_000_000  # resource.CELSelectorExpressionMaxCost
_MOST_ATTRIBUTES: Final = 32  # of a device, and so of its domains
_LONGEST_VALUE: Final = 64
_LONGEST_DRIVER: Final = 63


def check(
    scope: Scope, expression: str, returns: tuple[Type, ...], path: str, *, shown: str | None = None
) -> list[FieldError]:
    """Compile an expression of a webhook or policy. shown: the value to report, if not the expression."""
    problem = _problem(scope, expression, returns)
    return [] if problem is None else [field.invalid(path, expression if shown is None else shown, problem)]


def with_variable(scope: Scope, name: str, expression: str) -> Scope:
    """Declare a variable of a policy for what follows; of any type, if it does not compile."""
    if _problem(scope, expression, ANY) is not None:
        expression = "dyn(null)"
    return dataclasses.replace(scope, variables=(*scope.variables, (name, expression)))


@functools.lru_cache(maxsize=1024)
def device_selector(expression: str, path: str) -> tuple[FieldError, ...]:
    """Compile a selector of devices, which may give what nobody knows the type of."""
    try:
        program = _devices().compile(expression)
    except CompileError as err:
        return (field.invalid(path, expression, f"compilation failed: {err}"),)
    if program.type not in (types.BOOL, types.DYN):
        detail = f"must evaluate to bool or the unknown type, not {program.type}"
        return (field.invalid(path, expression, detail),)
    if program.cost()[1] > _DEVICE_COST:
        return (field.forbidden(path, "too complex, exceeds cost limit"),)
    return ()


@functools.lru_cache(maxsize=4096)
def _problem(scope: Scope, expression: str, returns: tuple[Type, ...]) -> str | None:
    try:
        admission.environment(scope).compile(expression, returns=returns)
    except ResultTypeError as err:
        return str(err)
    except CompileError as err:
        return f"compilation failed: {err}"
    return None


@functools.cache
def _devices() -> Environment:
    text = dataclasses.replace(types.STRING, max_elements=_LONGEST_VALUE)
    value = dataclasses.replace(types.DYN, max_elements=_LONGEST_VALUE)
    attributes = types.map_of(text, types.map_of(text, value, _MOST_ATTRIBUTES), _MOST_ATTRIBUTES)
    capacity = types.map_of(text, types.map_of(text, types.QUANTITY, _MOST_ATTRIBUTES), _MOST_ATTRIBUTES)
    device = types.struct(
        "kubernetes.DRADevice",
        {
            "driver": dataclasses.replace(types.STRING, max_elements=_LONGEST_DRIVER),
            "allowMultipleAllocations": types.BOOL,
            "attributes": attributes,
            "capacity": capacity,
        },
    )
    return Environment({"device": device}, bindings=True)
