"""How long the kernel remembers connections that it translates, as kube-proxy has it.

Half-closed ones are forgotten after a minute by default: a client that had closed its half and still read
would be cut off. The settings exist once the kernel tracks connections, which the proxy's table makes it do.

Source: pkg/proxy/conntrack/sysctls.go, pkg/proxy/apis/config/v1alpha1/defaults.go; kubernetes issue 32551.
"""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

SECONDS = {
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait": 3600,
    "net/netfilter/nf_conntrack_tcp_timeout_established": 86400,
}


def apply(set_one: Callable[[str, str], None]) -> None:
    """Set what can be set. set_one: takes a path below /proc/sys and a value; may raise OSError."""
    for path, seconds in SECONDS.items():
        try:
            set_one(path, str(seconds))
        except OSError as error:
            log.warning("connection timeout not set: path=%s error=%s", path, error)
