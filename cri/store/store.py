"""The runtime's memory: sandbox and container tables below one run directory."""

import os
from pathlib import Path

from cri.api import runtime_pb2 as pb
from cri.store import codec, files, records
from cri.store.table import Table

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Store:
    """Both tables. Thread-safe; one process at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sandboxes: Table[records.Sandbox] = Table(root / "sandboxes", _Sandboxes())
        self.containers: Table[records.Container] = Table(root / "containers", _Containers())

    def containers_of(self, sandbox_id: str) -> list[records.Container]:
        """Return the committed containers of a sandbox, in order of creation."""
        return [record for record in self.containers.all() if record.sandbox_id == sandbox_id]

    def load(self) -> list[Path]:
        """Read all records; return directories left by an interrupted creation or removal."""
        broken = self.sandboxes.load(lambda record: record.name)
        return broken + self.containers.load(self._container_name)

    def is_other_boot(self, boot_id: str) -> bool:
        """Tell whether the records were written before the host restarted, and note this boot."""
        path = self._root / "boot_id"
        try:
            last = path.read_text()
        except FileNotFoundError:
            last = boot_id
        files.replace(path, boot_id.encode())
        return last != boot_id

    def _container_name(self, record: records.Container) -> str:
        sandbox = self.sandboxes.find(record.sandbox_id)
        metadata = sandbox.config.metadata if sandbox else pb.PodSandboxMetadata(uid=record.sandbox_id)
        return records.container_name(record.config.metadata, metadata)


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return BOOT_ID.read_text().strip()


def new_id() -> str:
    """Return 64 random hex digits, the form of id that CRI tools abbreviate to 13."""
    return os.urandom(32).hex()


class _Sandboxes:
    kind = "sandbox"

    def config(self, record: records.Sandbox) -> bytes:
        return record.config.SerializeToString()

    def state(self, record: records.Sandbox) -> bytes:
        return codec.encode_sandbox(record)

    def decode(self, config: bytes, state: bytes) -> records.Sandbox:
        return codec.decode_sandbox(config, state)

    def is_intent(self, record: records.Sandbox) -> bool:
        return record.state is records.SandboxState.INTENT


class _Containers:
    kind = "container"

    def config(self, record: records.Container) -> bytes:
        return record.config.SerializeToString()

    def state(self, record: records.Container) -> bytes:
        return codec.encode_container(record)

    def decode(self, config: bytes, state: bytes) -> records.Container:
        return codec.decode_container(config, state)

    def is_intent(self, record: records.Container) -> bool:
        return record.state is records.ContainerState.INTENT
