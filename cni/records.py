"""One JSON file for each attachment of a plugin, written before what it describes is made."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cni.skel import Attachment, CniError, Code, Json, valid_attachments


class Records:
    """Files `<container ID>@<interface>.json` of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, owner: Attachment, record: dict[str, Any]) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._path(owner).with_suffix(".new")
        temporary.write_text(json.dumps(record))
        os.replace(temporary, self._path(owner))

    def get(self, owner: Attachment) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._path(owner).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found

    def delete(self, owner: Attachment) -> None:
        self._path(owner).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[Attachment, dict[str, Any]]]:
        """Yield what is recorded; files of interrupted writes are passed over."""
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir(self._directory)
        for name in names:
            container_id, _, ifname = name.removesuffix(".json").rpartition("@")
            owner = Attachment(container_id, ifname)
            record = self.get(owner) if name.endswith(".json") else None
            if record is not None:
                yield owner, record

    def demand(self, owner: Attachment) -> dict[str, Any]:
        """Return the record of an attachment. Raises CniError (CHECK_FAILED) if there is none."""
        record = self.get(owner)
        if record is None:
            raise CniError(Code.CHECK_FAILED, f"container {owner.container_id} is not attached")
        return record

    def stale(self, config: Json) -> list[Attachment]:
        """List who is recorded but, as a configuration of GC says, not valid any more."""
        valid = valid_attachments(config)
        return [owner for owner, _ in self.all() if owner not in valid]

    def _path(self, owner: Attachment) -> Path:
        return self._directory / f"{owner.container_id}@{owner.ifname}.json"
