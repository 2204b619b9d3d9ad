"""Tells balancers and people whether this node's proxy works, where kube-proxy does.

Port 10256: /healthz, 503 too when the cluster's autoscaler is about to take the node away, and /livez. Port
10249, on the loopback alone: /proxyMode.
Source: pkg/proxy/healthcheck/proxy_health.go, pkg/cluster/ports; cmd/kube-proxy (metrics' port).
"""

import logging
from collections.abc import Callable
from typing import Any, Final, Never

import orjson

from nanokube.api import timestamps
from nanokube.kit import clock
from nanokube.kit.http.message import Answer, Request, Response
from nanokube.kit.http.server import Server

log = logging.getLogger(__name__)

HEALTH_PORT: Final = 10256
STATUS_PORT: Final = 10249
LATE_S: Final = 60.0  # twice kube-proxy's sync period
DOOMED: Final = "ToBeDeletedByClusterAutoscaler"


class Progress:
    """When something changed that the kernel does not know yet."""

    def __init__(self, time: clock.Clock = clock.SYSTEM) -> None:
        self._clock = time
        self._since: float | None = None
        self._applied = time.time()

    def queued(self) -> None:
        """Something changed."""
        if self._since is None:
            self._since = self._clock.monotonic()

    def applied(self) -> None:
        """All that changed is written."""
        self._since = None
        self._applied = self._clock.time()

    def report(self) -> dict[str, Any]:
        """Say whether changes are written in time; a healthy proxy's last update is now."""
        is_late = self._since is not None and self._clock.monotonic() - self._since > LATE_S
        now = self._clock.time()
        return {
            "lastUpdated": timestamps.format_time(self._applied if is_late else now),
            "currentTime": timestamps.format_time(now),
            "healthy": not is_late,
        }


class Healthz:
    """The handler of both ports. node: gives the Node as last seen."""

    def __init__(self, progress: Progress, node: Callable[[], dict[str, Any] | None]) -> None:
        self._progress = progress
        self._node = node

    async def health(self, request: Request) -> Answer:
        """Answer at the balancers' port."""
        report = self._progress.report()
        is_well = report["healthy"]
        if request.path == "/healthz":
            report["nodeEligible"] = _is_eligible(self._node())
            is_well = is_well and report["nodeEligible"]
        elif request.path != "/livez":
            return Response(404, b"404 page not found\n", "text/plain")
        headers = [("X-Content-Type-Options", "nosniff")]
        return Response(200 if is_well else 503, orjson.dumps(report), "application/json", headers)

    async def status(self, request: Request) -> Answer:
        """Answer at the port for people on this host."""
        match request.path:
            case "/proxyMode":
                return Response(200, b"nftables", "text/plain")
            case "/healthz":
                return Response(200, b"ok", "text/plain")
        return Response(404, b"404 page not found\n", "text/plain")

    async def run(self) -> Never:
        """Serve until cancelled. A port that is taken, by another proxy say, is logged."""
        async with Server(self.health) as health, Server(self.status) as status:
            for server, host, port in ((health, "", HEALTH_PORT), (status, "127.0.0.1", STATUS_PORT)):
                try:
                    await server.listen(host, port)
                except OSError as error:
                    log.warning("not served: port=%d error=%s", port, error)
            await health.wait()


def _is_eligible(node: dict[str, Any] | None) -> bool:
    if node is None or node["metadata"].get("deletionTimestamp"):
        return False
    return not any(taint.get("key") == DOOMED for taint in node.get("spec", {}).get("taints") or ())
