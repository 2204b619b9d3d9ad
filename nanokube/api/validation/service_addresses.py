"""Validation of a Service's addresses and their families. Pure.

Source: pkg/apis/core/validation/validation.go, ValidateServiceClusterIPsRelatedFields.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import endpoints, names

_FAMILIES: Final = ("IPv4", "IPv6")
_FAMILY_POLICIES: Final = ("PreferDualStack", "RequireDualStack", "SingleStack")
_FIXED: Final = "may not change once set"


def validate(spec: Object) -> list[FieldError]:
    """Check clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy."""
    path, addresses, found = "spec.clusterIPs", list(spec.get("clusterIPs") or ()), list[FieldError]()
    first = spec.get("clusterIP")
    if first and not addresses:
        found.append(field.required(path))
    elif first and addresses[0] != first:
        found.append(field.invalid(path, addresses, "first value must match `clusterIP`"))
    elif addresses and not first:
        found.append(field.invalid(path, addresses, "must be empty when `clusterIP` is not specified"))
    found += _families(spec)
    broken = list[FieldError]()
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                broken.append(field.invalid(path, addresses, "'None' must be the first and only value"))
            continue
        broken += (field.invalid(f"{path}[{index}]", address, m) for m in names.ip_address(address))
    if len(addresses) > 2:
        broken.append(field.invalid(path, addresses, "may only hold up to 2 values"))
    return found + (broken or _dual(spec, addresses))


def validate_update(spec: Object, before: Object) -> list[FieldError]:
    """Check that allocated addresses stayed, unless the type changes from or to ExternalName."""
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    if spec.get("clusterIP") == before.get("clusterIP") == "None":
        return []
    path, new, old = (
        "spec.clusterIPs",
        list(spec.get("clusterIPs") or ()),
        list(before.get("clusterIPs") or ()),
    )
    if len(new) == len(old):
        pairs = enumerate(zip(new, old, strict=True))
        return [field.invalid(f"{path}[{i}]", new, _FIXED) for i, (a, b) in pairs if a != b]
    if not new:
        return [field.invalid(f"{path}[0]", new, "primary clusterIP can not be unset")]
    found = [field.invalid(f"{path}[0]", new, _FIXED)] if old and new[0] != old[0] else []
    if len(old) > len(new) and spec.get("ipFamilyPolicy") != "SingleStack":
        detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        found.append(field.invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), detail))
    return found


def external(spec: Object) -> list[FieldError]:
    """Check externalIPs, which may not lead into the host itself."""
    return [
        error
        for index, address in enumerate(spec.get("externalIPs") or ())
        for error in endpoints.address(address, f"spec.externalIPs[{index}]")
    ]


def cidr(text: str, path: str) -> list[FieldError]:
    """Check a range of addresses."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return [field.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    if "/" in text:
        return []
    return [field.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]


def _families(spec: Object) -> list[FieldError]:
    found, families = list[FieldError](), list(spec.get("ipFamilies") or ())
    for index, family in enumerate(families):
        path = f"spec.ipFamilies[{index}]"
        if family not in _FAMILIES:
            found.append(field.not_supported(path, family, _FAMILIES))
        if family in families[:index]:
            found.append(field.duplicate(path, family))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILY_POLICIES:
        found.append(field.not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES))
    return found


def _dual(spec: Object, addresses: list[str]) -> list[FieldError]:
    path = "spec.clusterIPs"
    found, families = list[FieldError](), spec.get("ipFamilies") or ()
    versions = [f"IPv{ipaddress.ip_address(each).version}" for each in addresses if each != "None"]
    if len(versions) > 1 and len(set(versions)) == 1:
        detail = "may specify no more than one IP for each IP family"
        found.append(field.invalid(path, addresses, detail))
    for index, (actual, family) in enumerate(zip(versions, families, strict=False)):
        if actual != family and family in _FAMILIES:
            detail = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            found.append(field.invalid(f"{path}[{index}]", addresses[index], detail))
    return found
