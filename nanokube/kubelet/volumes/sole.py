"""ReadWriteOncePod: which Pod of this node has a volume to itself. Blocking, for a moment.

    pods/<uid>/sole-volumes/<volume>    an empty file: outlives the agent, goes with the Pod's directory
The scheduler keeps a second Pod waiting; one that names its node itself meets this.
Source: pkg/volume/util/operationexecutor/operation_generator.go (GenerateMountVolumeFunc).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanokube.api import objects
from nanokube.kubelet.volumes.errors import WholeFault

Object = Mapping[str, Any]
MODE = "ReadWriteOncePod"
_DIRECTORY = "sole-volumes"


def take(volume: Object, pod_directory: Path) -> bool:
    """Note that a Pod has a PersistentVolume; tells whether that is news. Raises WholeFault, OSError.

    Nothing may run between two calls' looks and notes: for the event loop, not for threads.
    """
    if not is_sole(volume):
        return False
    name = objects.name(volume)
    own = _note(pod_directory, name)
    if any(each != own for each in pod_directory.parent.glob(f"*/{_DIRECTORY}/{name}")):
        cause = f"volume uses the {MODE} access mode and is already in use by another pod"
        raise WholeFault(f'MountVolume.SetUp failed for volume "{name}" : {cause}')
    is_new = not own.exists()
    own.parent.mkdir(parents=True, exist_ok=True)
    own.touch()
    return is_new


def give_back(volume: Object, pod_directory: Path) -> None:
    """Forget that a Pod has a volume, which could not be mounted."""
    _note(pod_directory, objects.name(volume)).unlink(missing_ok=True)


def is_sole(volume: Object) -> bool:
    """Tell whether one Pod alone may mount a volume: of several modes nobody knows which is meant. Pure."""
    spec = objects.spec(volume)
    return list(spec.get("accessModes") or ()) == [MODE] and spec.get("volumeMode") != "Block"


def _note(pod_directory: Path, name: str) -> Path:
    return pod_directory / _DIRECTORY / name
