"""ReplicationControllers: ReplicaSets of the first days, whose selector is a plain map of labels.

Source: pkg/controller/replication/{replication_controller,conversion}.go.
"""

from nanokube.api import objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.controllers import replicaset
from nanokube.controllers.env import Env

REPLICATION_CONTROLLERS = resources.get("replicationcontrollers")


def selector_of(owner: Object) -> selectors.LabelSelector:
    """Compile spec.selector; an empty one matches nothing."""
    labels = objects.spec(owner).get("selector")
    return selectors.from_object({"matchLabels": labels} if labels else None)


class ReplicationController(replicaset.ReplicaSetController):
    """Keeps every ReplicationController at its count."""

    def __init__(self, env: Env) -> None:
        super().__init__(env, REPLICATION_CONTROLLERS, selector_of)
