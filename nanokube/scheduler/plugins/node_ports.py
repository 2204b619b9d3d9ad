"""NodePorts: two Pods cannot have one host port. Pure."""

from nanokube.scheduler.framework import Change, Check, Filter, always
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) didn't have free ports for the requested pod ports",)
EVERY_ADDRESS = "0.0.0.0"


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes where a wanted host port is taken; 0.0.0.0 collides with every address."""

    def check(node: NodeInfo) -> tuple[str, ...]:
        for protocol, address, number in pod.ports:
            for taken_protocol, taken_address, taken_number in node.ports:
                same = (taken_protocol, taken_number) == (protocol, number)
                if same and (address == taken_address or EVERY_ADDRESS in (address, taken_address)):
                    return REASON
        return ()

    return check if pod.ports else None


FILTER = Filter("NodePorts", prepare, Change.NODE_ADDED | Change.POD_GONE, always)
