"""A volume that containers may be given."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """A volume that is ready: a path on the node, or an image to be mounted by the runtime.

    is_own: the path was made for this Pod. is_device: it is a block device. is_read_only: to every container.
    """

    path: Path = Path()
    image: str = ""
    pull_policy: str = ""
    is_own: bool = False
    is_device: bool = False
    is_read_only: bool = False
