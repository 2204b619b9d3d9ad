"""SELinux options that cannot be honoured are refused."""

from __future__ import annotations

import pytest

from cri.api import runtime_pb2 as pb
from cri.bundle import selinux


@pytest.mark.parametrize("part", ["user", "role", "type"])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_named_confinement_is_refused(part: str, enabled: bool) -> None:
    with pytest.raises(selinux.LabelError, match=f"cannot set SELinux {part}"):
        selinux.check(pb.SELinuxOption(**{part: "x"}), enabled=enabled)


def test_a_level_alone_passes_where_there_is_nothing_to_separate() -> None:
    selinux.check(pb.SELinuxOption(level="s0:c0,c1"), enabled=False)
    with pytest.raises(selinux.LabelError, match="level: labels are not supported"):
        selinux.check(pb.SELinuxOption(level="s0:c0,c1"), enabled=True)


@pytest.mark.parametrize("enabled", [True, False])
def test_no_options_are_fine(enabled: bool) -> None:
    selinux.check(pb.SELinuxOption(), enabled=enabled)
