"""The sysctls that any Pod may set: each is its own namespace's, and none harms a neighbour. Pure.

Source: pkg/kubelet/sysctl/safe_sysctls.go.
"""

from typing import Final

SAFE: Final = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    )
)

_SWAPPED: Final = str.maketrans("./", "/.")


def normalize(name: str) -> str:
    """Write a sysctl's name with dots between its parts; its first separator tells how it is written.

    >>> normalize("kernel/shm_rmid_forced"), normalize("net/ipv4/conf/eth0.1/mtu"), normalize("net.ipv4.x")
    ('kernel.shm_rmid_forced', 'net.ipv4.conf.eth0/1.mtu', 'net.ipv4.x')

    Source: component-helpers node/util/sysctl NormalizeName; sysctl.d(5).
    """
    first = next((letter for letter in name if letter in "./"), "")
    return name.translate(_SWAPPED) if first == "/" else name
