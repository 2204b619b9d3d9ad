"""What a client may ask for: timeouts, names, paths, ports."""

import errno
from pathlib import Path

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.runtime import faults as supervisor
from cri.server import limits


@pytest.mark.parametrize(("asked", "given"), [(-5, 0), (0, 0), (30, 30), (2**63 - 1, 2_000_000)])
def test_a_timeout_is_one_that_system_calls_take(asked: int, given: int) -> None:
    assert limits.seconds(asked) == given


@pytest.mark.parametrize(("left", "wait"), [(None, None), (9.2e18, None), (0.0, 0.001), (2.5, 2.5)])
def test_a_client_without_a_deadline_is_waited_for_always(left: float | None, wait: float | None) -> None:
    assert limits.patience(left) == wait


@pytest.mark.parametrize("value", ["a\x00b", "a\nb", "x" * 2000, "a;b", "a=b"])
def test_a_name_that_would_be_read_as_more_is_refused(value: str) -> None:
    with pytest.raises(faults.RuntimeFault) as caught:
        limits.name("metadata.name", value)
    assert caught.value.kind is faults.Kind.INVALID_ARGUMENT


@pytest.mark.parametrize("value", ["", "relative", "/a\x00b", "/" + "x" * 256, "/x" * 3000])
def test_a_path_of_the_host_is_absolute_and_fits(value: str) -> None:
    with pytest.raises(faults.RuntimeFault):
        limits.path("log_directory", value)


def test_good_values_pass() -> None:
    limits.name("metadata.name", "web-0 🦀")
    limits.path("log_directory", "/var/log/pods/ns_name_uid")
    limits.port_mapping(pb.PortMapping(host_port=80, container_port=8080, protocol=pb.SCTP))
    limits.port_mapping(pb.PortMapping(container_port=0))


@pytest.mark.parametrize(("host", "container"), [(-1, 80), (65536, 80), (80, 0), (80, 2**31 - 1)])
def test_a_port_that_is_none_is_refused(host: int, container: int) -> None:
    with pytest.raises(faults.RuntimeFault, match="no such port"):
        limits.port_mapping(pb.PortMapping(host_port=host, container_port=container))


def test_a_directory_that_cannot_be_is_the_clients_fault(tmp_path: Path) -> None:
    limits.directory("log_directory", tmp_path / "a/b")
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(faults.RuntimeFault) as caught:
            limits.directory("log_directory", tmp_path / path)
        assert caught.value.kind is faults.Kind.INVALID_ARGUMENT


def test_a_huge_page_size_that_the_host_lacks_is_the_clients_fault() -> None:
    gone = OSError(errno.ENOENT, "No such file or directory", "/sys/fs/cgroup/x/hugetlb.3MB.max")
    assert supervisor.of_limits(gone).kind == supervisor.INVALID_ARGUMENT
    lost = OSError(errno.ENOENT, "No such file or directory", "/sys/fs/cgroup/x/memory.max")
    assert supervisor.of_limits(lost).kind == supervisor.INTERNAL
