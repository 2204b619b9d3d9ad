"""Sysctls a sandbox may set."""

import pytest

from cri.network import sandbox, sysctls


def test_sysctls_of_own_namespaces_become_paths() -> None:
    wanted = {
        "kernel.shm_rmid_forced": "1",
        "fs.mqueue.msg_max": "100",
        "net.ipv4.conf.eth0/1.rp_filter": "0",
    }
    assert sysctls.paths(wanted, own_network=True, own_ipc=True) == {
        "kernel/shm_rmid_forced": "1",
        "fs/mqueue/msg_max": "100",
        "net/ipv4/conf/eth0.1/rp_filter": "0",
    }


@pytest.mark.parametrize(
    ("name", "value", "own_network", "own_ipc"),
    [
        ("net.ipv4.ip_forward", "1", False, True),
        ("kernel.shmmax", "1", True, False),
        ("kernel.core_pattern", "|/evil", True, True),
        ("vm.swappiness", "1", True, True),
        ("kernel.hostname", "x", True, True),
        ("net/../kernel/core_pattern", "x", True, True),
        ("net.ipv4.x\x00", "1", True, True),
        ("net.ipv4.ip_forward", "1\n+kernel.core_pattern=x", True, True),
        ("net..kernel.core_pattern", "1", True, True),
    ],
)
def test_what_would_change_the_host_is_refused(
    name: str, value: str, own_network: bool, own_ipc: bool
) -> None:
    with pytest.raises(sysctls.InvalidSysctl):
        sysctls.paths({name: value}, own_network=own_network, own_ipc=own_ipc)


@pytest.mark.parametrize("path", ["net/ipv4", "net/ipv4/no_such_sysctl"])
def test_a_sysctl_that_the_kernel_refuses_is_named(path: str) -> None:
    with pytest.raises(
        sysctls.InvalidSysctl, match=rf"cannot set sysctl '{path.replace('/', '.')}' to 'x': "
    ):
        sandbox._write_sysctl(path, "x")
