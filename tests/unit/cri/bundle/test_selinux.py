"""Labels of containers: what is asked for wins, the rest is the Pod's and the policy's, or it is refused."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Mapping

import pytest

from cri.api import runtime_pb2 as pb
from cri.bundle import selinux
from cri.bundle.selinux import LabelError, Labels

PROCESS = "system_u:system_r:container_t:s0"
FILE = "system_u:object_r:container_file_t:s0"


class Host:
    """A host with a policy that knows these types."""

    def __init__(self, refusal: str = "", **contexts: str) -> None:
        self._refusal = refusal
        self._contexts = contexts or {"process": PROCESS, "file": FILE}
        self.types = {"container_t", "container_file_t", "spc_t"}

    def refusal(self) -> str:
        return self._refusal

    def contexts(self) -> Mapping[str, str]:
        return self._contexts

    def canonical(self, context: str) -> str:
        if context.split(":")[2] not in self.types:
            raise OSError(errno.EINVAL, "Invalid argument")
        return context


def options(**parts: str) -> pb.SELinuxOption:
    return pb.SELinuxOption(**parts)


@pytest.mark.parametrize(
    ("wanted", "level", "process", "mount"),
    [
        ({}, "s0:c1,c2", f"{PROCESS}:c1,c2", f"{FILE}:c1,c2"),
        ({}, "", PROCESS, FILE),
        ({"level": "s0:c3,c4"}, "s0:c1,c2", f"{PROCESS}:c3,c4", f"{FILE}:c3,c4"),
        ({"type": "spc_t"}, "s0:c1,c2", "system_u:system_r:spc_t:s0:c1,c2", f"{FILE}:c1,c2"),
        ({"user": "u", "role": "r"}, "s0", "u:r:container_t:s0", "u:object_r:container_file_t:s0"),
    ],
)
def test_missing_parts_are_the_pods_and_the_policys(
    wanted: dict[str, str], level: str, process: str, mount: str
) -> None:
    assert selinux.choose(options(**wanted), Host(), level=level) == Labels(process, mount)


def test_privileged_and_host_processes_are_free_unless_a_domain_is_named() -> None:
    assert selinux.choose(options(), Host(), level="s0:c1,c2", is_free=True) == Labels()
    assert selinux.choose(options(level="s0:c3"), Host(), is_free=True) == Labels()
    named = selinux.choose(options(type="container_t"), Host(), level="s0:c1,c2", is_free=True)
    assert named.process == f"{PROCESS}:c1,c2"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"type": "nosuch_t"}, "the policy has no such context"),
        ({"type": 'x",exec="'}, "not of the form"),
        ({"user": "a:b"}, "is no level"),
        ({"level": "s0:c1,c2\0"}, "is no level"),
        ({"level": 's0",suid="'}, "is no level"),
        ({"level": "SystemLow"}, "is no level"),
    ],
)
def test_wrong_parts_are_refused(wanted: dict[str, str], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        selinux.choose(options(**wanted), Host())


@pytest.mark.parametrize("part", ["user", "role", "type"])
@pytest.mark.parametrize("refusal", [selinux.NO_KERNEL, "labels are switched off (enable_selinux)"])
def test_a_named_confinement_is_refused_where_no_labels_are_set(part: str, refusal: str) -> None:
    with pytest.raises(LabelError, match=f"cannot set SELinux {part}"):
        selinux.choose(options(**{part: "x"}), Host(refusal))


def test_a_level_alone_passes_where_there_is_nothing_to_separate() -> None:
    assert selinux.choose(options(level="s0:c0,c1"), Host(selinux.NO_KERNEL)) == Labels()
    with pytest.raises(LabelError, match="level: labels are switched off"):
        selinux.choose(options(level="s0:c0,c1"), Host("labels are switched off"))


def test_the_type_without_confinement_passes_where_nothing_confines() -> None:
    """Cilium's chart and others ask every host for it."""
    wanted = options(user="system_u", role="system_r", type="spc_t", level="s0")
    assert selinux.choose(wanted, Host(selinux.NO_KERNEL)) == Labels()
    with pytest.raises(LabelError, match="labels are switched off"):
        selinux.choose(wanted, Host("labels are switched off"))


def test_labels_pass_unheeded_where_the_kernel_has_none_and_the_operator_wants_none() -> None:
    """kubelet's NodeConformance (ContainerLogPath) sends a type to every node."""
    wanted = options(type="container_logreader_t", level="s0")
    assert selinux.choose(wanted, Host(selinux.UNWANTED)) == Labels()


@pytest.mark.parametrize(
    ("has_kernel", "is_wanted", "refusal"),
    [
        (True, True, ""),
        (True, False, "labels are switched off (enable_selinux)"),
        (False, True, selinux.NO_KERNEL),
        (False, False, selinux.UNWANTED),
    ],
)
def test_the_switch_and_the_kernel_say_what_is_refused(
    monkeypatch: pytest.MonkeyPatch, has_kernel: bool, is_wanted: bool, refusal: str
) -> None:
    monkeypatch.setattr("cri.linux.selinux.is_enabled", lambda: has_kernel)
    assert selinux.Kernel(is_wanted=is_wanted).refusal() == refusal


@pytest.mark.parametrize(
    "host",
    [
        Host(process=PROCESS),
        Host(process="system_u:system_r:gone_t:s0", file=FILE),
        Host(process="x", file=FILE),
    ],
    ids=["no file context", "a type that the policy lacks", "no context at all"],
)
def test_a_policy_without_containers_runs_them_unlabelled_but_refuses_what_is_asked(host: Host) -> None:
    assert selinux.defaults(host) is None
    assert selinux.choose(options(), host, level="s0:c1,c2") == Labels()
    for wanted in (options(type="container_t"), options(level="s0")):
        with pytest.raises(LabelError, match="no contexts for containers"):
            selinux.choose(wanted, host)


def test_a_policy_without_levels_gives_none() -> None:
    host = Host(process="u:r:container_t", file="u:object_r:container_file_t")
    assert selinux.choose(options(), host) == Labels("u:r:container_t", "u:object_r:container_file_t")
    assert selinux.pick_level("", (), lambda _: 0) == ""


def test_a_pair_of_categories_is_one_pods() -> None:
    drawn = iter([7, 7, 9, 2, 5, 1])
    assert selinux.pick_level("s0-s0:c0.c1023", {"s0:c2,c9"}, lambda _: next(drawn)) == "s0:c1,c5"
    with pytest.raises(LabelError, match="no pair"):
        selinux.pick_level("s0", (), lambda _: 0)
    numbers = itertools.cycle(range(1024))
    used: set[str] = set()
    for _ in range(400):
        used.add(selinux.pick_level("s0", used, lambda _: next(numbers)))
    assert len(used) == 400


@pytest.mark.parametrize("level", ["s0", "s0:c1,c2", "s0-s15:c0.c1023", "s0:c0.c3,c7"])
def test_contexts_are_read_and_written_alike(level: str) -> None:
    text = f"system_u:object_r:container_file_t:{level}"
    assert str(selinux.parse(text)) == text
    assert selinux.shared(text) == FILE
    assert selinux.shared("") == ""


def test_layers_have_a_label_that_every_level_may_read() -> None:
    read_only = "system_u:object_r:container_ro_file_t:s0"
    host = Host(process=PROCESS, file=FILE, ro_file=read_only)
    assert selinux.of_layers(host) == FILE  # a type that the policy does not define
    host.types.add("container_ro_file_t")
    assert selinux.of_layers(host) == read_only
    assert selinux.of_layers(Host()) == FILE
    assert selinux.of_layers(Host(selinux.NO_KERNEL)) == ""
