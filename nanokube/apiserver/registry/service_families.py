"""Which families a Service has, and at which of its addresses: what is left open is settled here. Pure.

    ipFamilyPolicy   SingleStack: one; PreferDualStack: two if the cluster has them; RequireDualStack: two
    ipFamilies       given, else those of clusterIPs, else the cluster's primary one
    clusterIPs       in the order of ipFamilies; "" where one is to be allocated

A Service that prefers two families keeps what it has when the cluster changes.
Source: pkg/registry/core/service/storage/alloc.go, initIPFamilyFields.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import errors, field, resources
from nanokube.api.field import FieldError
from nanokube.api.validation import service_addresses
from nanokube.apiserver.registry import address_pools

SINGLE: Final = "SingleStack"
PREFER: Final = "PreferDualStack"
REQUIRE: Final = "RequireDualStack"
_OTHER: Final = {"IPv4": "IPv6", "IPv6": "IPv4"}
_SETTLED: Final = ("clusterIPs", "ipFamilies")


def settle(obj: dict[str, Any], before: Mapping[str, Any], cluster: Sequence[str]) -> None:
    """Fill in a Service's policy and families, in place. Raises ApiError (422).

    before: the spec it had, {} for a new one. cluster: the cluster's families, the primary first.
    """
    spec = obj["spec"]
    if not _needs_address(spec) or _stays_preferring(spec, before):
        return
    _settle_policy(spec, before)
    _refuse(obj, service_addresses.validate(spec))
    _refuse(obj, [*(_reduce(spec, before) if before else ()), *_too_many(spec), *_infer(spec, cluster)])
    if _is_headless(spec) and not spec.get("selector"):
        _complete(spec, cluster[0], is_dual=spec["ipFamilyPolicy"] != SINGLE)
        return
    _refuse(obj, _unconfigured(spec, cluster))
    _complete(spec, cluster[0], is_dual=spec["ipFamilyPolicy"] != SINGLE and len(cluster) == 2)


def missing(spec: dict[str, Any], before: Mapping[str, Any]) -> list[int]:
    """Tell which of clusterIPs are to be allocated, and make place for them ("").

    Of those that a client chose, none that the Service has already.
    """
    if not _needs_address(spec) or _is_headless(spec):
        return []
    had = list(before.get("clusterIPs") or ()) if _needs_address(before) else []
    if had[:1] == ["None"]:
        return []  # validation refuses it
    if had and len(before.get("ipFamilies") or ()) >= len(spec.get("ipFamilies") or ()):
        return []  # neither new nor upgraded: a change is refused by validation
    wanted = spec.setdefault("clusterIPs", [])
    wanted += [""] * (len(spec["ipFamilies"]) - len(wanted))
    return list(range(min(len(had), 1), len(spec["ipFamilies"])))


def _settle_policy(spec: dict[str, Any], before: Mapping[str, Any]) -> None:
    if spec.get("ipFamilyPolicy") is not None:  # "" is refused
        return
    default = REQUIRE if _is_headless(spec) and not spec.get("selector") else SINGLE
    spec["ipFamilyPolicy"] = before.get("ipFamilyPolicy") or default


def _reduce(spec: dict[str, Any], before: Mapping[str, Any]) -> list[FieldError]:
    """Drop what SingleStack leaves no room for, unless the client has changed it; else nothing may go."""
    found = []
    words = {"clusterIPs": "cluster IP", "ipFamilies": "IP family"}
    for key in _SETTLED:
        new, old = spec.get(key) or [], before.get(key) or []
        if spec["ipFamilyPolicy"] == SINGLE:
            if new == old and len(new) > 1:
                spec[key] = new[:1]
        elif new and len(new) < len(old):
            detail = f"must be '{SINGLE}' to release the secondary {words[key]}"
            found.append(field.invalid("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], detail))
    return found


def _too_many(spec: Mapping[str, Any]) -> list[FieldError]:
    if spec["ipFamilyPolicy"] != SINGLE:
        return []
    words = {"clusterIPs": "cluster IPs", "ipFamilies": "IP families"}
    return [
        field.invalid(
            "spec.ipFamilyPolicy",
            SINGLE,
            f"must be '{REQUIRE}' or '{PREFER}' when multiple {words[key]} are specified",
        )
        for key in _SETTLED
        if len(spec.get(key) or ()) == 2
    ]


def _infer(spec: dict[str, Any], cluster: Sequence[str]) -> list[FieldError]:
    """Add the families of the addresses that were given."""
    found, families = [], list(spec.get("ipFamilies") or ())
    for index, text in enumerate(spec.get("clusterIPs") or ()):
        if text == "None":
            break
        family = address_pools.NAMES[ipaddress.ip_address(text).version]
        if index < len(families):
            continue
        if family in cluster:
            families.append(family)
        else:
            detail = f"{family} is not configured on this cluster"
            found.append(field.invalid(f"spec.clusterIPs[{index}]", spec["clusterIPs"], detail))
    if families:
        spec["ipFamilies"] = families
    return found


def _unconfigured(spec: Mapping[str, Any], cluster: Sequence[str]) -> list[FieldError]:
    found = []
    if spec["ipFamilyPolicy"] == REQUIRE and len(cluster) < 2:
        detail = "this cluster is not configured for dual-stack services"
        found.append(field.invalid("spec.ipFamilyPolicy", REQUIRE, detail))
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in cluster:
            found.append(field.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    return found


def _complete(spec: dict[str, Any], primary: str, *, is_dual: bool) -> None:
    families = list(spec.get("ipFamilies") or (primary,))
    if is_dual and len(families) == 1:
        families.append(_OTHER[families[0]])
    spec["ipFamilies"] = families


def _stays_preferring(spec: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Tell whether nothing of an update concerns the families of a Service that prefers two."""
    return (
        bool(before)
        and spec.get("type") == before.get("type")
        and spec.get("ipFamilyPolicy") == PREFER
        and before.get("ipFamilyPolicy", PREFER) == PREFER
        and all((spec.get(key) or []) == (before.get(key) or []) for key in _SETTLED)
    )


def _needs_address(spec: Mapping[str, Any]) -> bool:
    return bool(spec) and spec.get("type") != "ExternalName"


def _is_headless(spec: Mapping[str, Any]) -> bool:
    return spec.get("clusterIP") == "None" or next(iter(spec.get("clusterIPs") or ()), "") == "None"


def _refuse(obj: Mapping[str, Any], found: Sequence[FieldError]) -> None:
    if found:
        raise errors.invalid(resources.get("services"), obj["metadata"].get("name", ""), list(found))
