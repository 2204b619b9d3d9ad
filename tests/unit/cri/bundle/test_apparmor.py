"""Which AppArmor profile a container gets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cri.api import runtime_pb2 as pb
from cri.bundle import apparmor

DEFAULT, UNCONFINED, LOCALHOST = (
    pb.SecurityProfile.ProfileType.Value(name) for name in ("RuntimeDefault", "Unconfined", "Localhost")
)


@dataclasses.dataclass
class Host:
    enabled: bool = True
    profiles: tuple[str, ...] = ("mine",)
    can_load: bool = True

    def is_enabled(self) -> bool:
        return self.enabled

    def has(self, name: str) -> bool:
        return name in self.profiles

    def load_default(self) -> bool:
        return self.can_load


def security(**fields: Any) -> pb.LinuxContainerSecurityContext:
    return pb.LinuxContainerSecurityContext(**fields)


def profile(kind: Any, name: str = "") -> pb.SecurityProfile:
    return pb.SecurityProfile(profile_type=kind, localhost_ref=name)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, apparmor.DEFAULT),
        ({"privileged": True}, ""),
        ({"apparmor_profile": "runtime/default"}, apparmor.DEFAULT),
        ({"apparmor_profile": "unconfined"}, ""),
        ({"apparmor_profile": "localhost/mine"}, "mine"),
        ({"apparmor": profile(DEFAULT)}, apparmor.DEFAULT),
        ({"apparmor": profile(DEFAULT), "privileged": True}, ""),
        ({"apparmor": profile(UNCONFINED), "apparmor_profile": "localhost/mine"}, ""),
        ({"apparmor": profile(LOCALHOST, "mine"), "privileged": True}, "mine"),
        ({"apparmor": profile(LOCALHOST, "localhost/mine"), "apparmor_profile": "localhost/nosuch"}, "mine"),
    ],
)
def test_where_the_kernel_has_it(fields: dict[str, Any], expected: str) -> None:
    assert apparmor.choose(security(**fields), Host()) == expected


@pytest.mark.parametrize("fields", [{}, {"apparmor": profile(DEFAULT)}, {"apparmor_profile": "unconfined"}])
def test_where_it_has_not(fields: dict[str, Any]) -> None:
    assert apparmor.choose(security(**fields), Host(enabled=False)) == ""
    assert apparmor.choose(security(**fields), Host(can_load=False)) == ""


@pytest.mark.parametrize("name", ["nosuch", ""])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_named_profile_that_is_not_loaded_is_refused(name: str, enabled: bool) -> None:
    for fields in ({"apparmor": profile(LOCALHOST, name)}, {"apparmor_profile": f"localhost/{name}"}):
        with pytest.raises(apparmor.ProfileError, match="cannot use AppArmor profile"):
            apparmor.choose(security(**fields), Host(enabled))


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(apparmor.ProfileError, match="neither"):
        apparmor.choose(security(apparmor_profile="mine"), Host())
