"""The connect subresources by resource and name: the list that routing reads."""

from collections.abc import Mapping

from nanokube.apiserver.subresources import log, proxy, streams
from nanokube.apiserver.subresources.backend import Serve

HANDLERS: Mapping[tuple[str, str], Serve] = {
    ("pods", "log"): log.log,
    ("pods", "exec"): streams.exec,
    ("pods", "attach"): streams.attach,
    ("pods", "portforward"): streams.portforward,
    ("pods", "proxy"): proxy.pod,
    ("services", "proxy"): proxy.service,
    ("nodes", "proxy"): proxy.node,
}
