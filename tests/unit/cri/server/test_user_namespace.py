"""Which mappings of ids a sandbox may ask for."""

from typing import Any

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server import user_namespace

WHOLE = [pb.IDMapping(container_id=0, host_id=100_000, length=65_536)]


@pytest.fixture(autouse=True)
def _new_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_namespace, "is_supported", lambda: True)


def config(changes: dict[str, Any], **options: Any) -> pb.PodSandboxConfig:
    wanted: dict[str, Any] = {"mode": pb.POD, "uids": WHOLE, "gids": WHOLE} | changes
    namespaces = pb.NamespaceOption(userns_options=pb.UserNamespace(**wanted), **options)
    security = pb.LinuxSandboxSecurityContext(namespace_options=namespaces)
    return pb.PodSandboxConfig(linux=pb.LinuxPodSandboxConfig(security_context=security))


def test_one_range_from_id_0_is_taken() -> None:
    wanted = config({})
    user_namespace.check(wanted)
    assert user_namespace.maps(wanted) == (((0, 100_000, 65_536),), ((0, 100_000, 65_536),))
    assert user_namespace.owner(wanted) == (100_000, 100_000)


@pytest.mark.parametrize("changes", [{"mode": pb.NODE, "uids": [], "gids": []}])
def test_the_nodes_ids_need_no_mapping(changes: dict[str, Any]) -> None:
    wanted = config(changes)
    user_namespace.check(wanted)
    user_namespace.check(pb.PodSandboxConfig())
    assert user_namespace.maps(wanted) == ((), ())
    assert user_namespace.owner(wanted) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"mode": pb.CONTAINER}, {}),
        ({"mode": pb.TARGET}, {}),
        ({"mode": pb.NODE}, {}),
        ({"uids": []}, {}),
        ({"gids": WHOLE * 2}, {}),
        ({"uids": [pb.IDMapping(container_id=5, host_id=1, length=9)]}, {}),
        ({"uids": [pb.IDMapping(container_id=0, host_id=1, length=0)]}, {}),
        ({"gids": [pb.IDMapping(container_id=0, host_id=2**32 - 2, length=2)]}, {}),
        ({}, {"network": pb.NODE}),
        ({}, {"pid": pb.NODE}),
        ({}, {"ipc": pb.NODE}),
    ],
)
def test_other_mappings_and_host_namespaces_are_refused(
    changes: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(faults.RuntimeFault) as caught:
        user_namespace.check(config(changes, **options))
    assert caught.value.kind is faults.Kind.INVALID_ARGUMENT
