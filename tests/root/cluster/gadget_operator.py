"""An operator as its users write them: each Gadget has a ConfigMap of its own and a status. Run by kopf."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

import kopf

RECORD = pathlib.Path(os.environ["GADGET_RECORD"])
KUBECTL = os.environ["GADGET_KUBECTL"]
GADGETS = ("test.example.com", "v1", "gadgets")


@kopf.on.startup()
def settle(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Hold objects by a finalizer of our own."""
    settings.persistence.finalizer = "test.example.com/operator"


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Take the kubeconfig of the environment."""
    return kopf.login_with_kubeconfig(**kwargs)


@kopf.on.create(*GADGETS)
def create(body: kopf.Body, spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> dict[str, Any]:
    """Make the ConfigMap; what is returned goes into the status too."""
    _apply_child(body, spec["size"])
    patch.status["size"] = spec["size"]
    return {"made": True}


@kopf.on.field(*GADGETS, field="spec.size")
def resize(body: kopf.Body, old: Any, new: Any, patch: kopf.Patch, **_: Any) -> None:
    """Carry a changed size over."""
    if old is not None:
        _apply_child(body, new)
        patch.status["size"] = new
        patch.status["before"] = old


@kopf.on.delete(*GADGETS)
def delete(body: kopf.Body, **_: Any) -> None:
    """Note the end."""
    with RECORD.open("a") as record:
        record.write(f"{body.metadata.name}\n")


def _apply_child(body: kopf.Body, size: int) -> None:
    child: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"size": str(size)}}
    child["metadata"] = {"name": body.metadata.name, "namespace": body.metadata.namespace}
    kopf.adopt(child, owner=body)  # so that it goes when the Gadget goes
    command = [KUBECTL, "apply", "--server-side", "--field-manager=gadgets", "-f", "-"]
    subprocess.run(command, input=json.dumps(child), text=True, check=True)
