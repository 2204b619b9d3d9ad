"""Values that CEL passes around without looking inside. Pure."""

from __future__ import annotations

import dataclasses
from typing import ClassVar


@dataclasses.dataclass(frozen=True, slots=True)
class Opaque:
    """A value of a Kubernetes type, kept as text."""

    type_name: ClassVar[str] = ""
    text: str


class Quantity(Opaque):
    """An amount, printed canonically."""

    __slots__ = ()
    type_name = "kubernetes.Quantity"


class Url(Opaque):
    """An absolute URL, as it was written."""

    __slots__ = ()
    type_name = "kubernetes.URL"


class Semver(Opaque):
    """A semantic version."""

    __slots__ = ()
    type_name = "kubernetes.Semver"


class NamedFormat(Opaque):
    """A format, by its name."""

    __slots__ = ()
    type_name = "kubernetes.NamedFormat"


class Ip(Opaque):
    """An address, printed canonically."""

    __slots__ = ()
    type_name = "net.IP"


class Cidr(Opaque):
    """A prefix, printed canonically; bits beyond the prefix may be set."""

    __slots__ = ()
    type_name = "net.CIDR"


class Authorizer(Opaque):
    """Who asks: a key of `authorization`'s table, and a service account if it asks for one. JSON."""

    __slots__ = ()
    type_name = "kubernetes.authorization.Authorizer"


class PathCheck(Opaque):
    """A question about a path, without its verb. JSON."""

    __slots__ = ()
    type_name = "kubernetes.authorization.PathCheck"


class GroupCheck(Opaque):
    """A question about a group of the API, without its resource. JSON."""

    __slots__ = ()
    type_name = "kubernetes.authorization.GroupCheck"


class ResourceCheck(Opaque):
    """A question about a resource, without its verb. JSON."""

    __slots__ = ()
    type_name = "kubernetes.authorization.ResourceCheck"


class Decision(Opaque):
    """An answer. JSON."""

    __slots__ = ()
    type_name = "kubernetes.authorization.Decision"


ALL: tuple[type[Opaque], ...] = (
    Quantity,
    Url,
    Semver,
    NamedFormat,
    Ip,
    Cidr,
    Authorizer,
    PathCheck,
    GroupCheck,
    ResourceCheck,
    Decision,
)


class NoSuchOverload(ValueError):
    """A function got values of types that it does not take."""

    def __init__(self) -> None:
        super().__init__("no such overload")
