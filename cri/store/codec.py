"""Records to files and back: the config as protobuf bytes, the rest as JSON. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from cri.api import runtime_pb2 as pb
from cri.store import records


class CodecError(ValueError):
    """A stored record cannot be read."""


def encode_sandbox(record: records.Sandbox) -> bytes:
    """Return the state file of a sandbox: everything but its config."""
    return _dump(_fields(record) | {"state": record.state.value})


def decode_sandbox(config: bytes, state: bytes) -> records.Sandbox:
    """Read a sandbox back. Raises CodecError."""
    try:
        data = json.loads(state)
        data["state"] = records.SandboxState(data["state"])
        data["ips"] = tuple(data["ips"])
        return records.Sandbox(config=pb.PodSandboxConfig.FromString(config), **data)
    except (ValueError, TypeError, KeyError) as err:
        raise CodecError(f"cannot decode sandbox record: {err}") from err


def encode_container(record: records.Container) -> bytes:
    """Return the state file of a container: everything but its config."""
    data = _fields(record) | {"state": record.state.value}
    if record.user is not None:
        data["user"] = [record.user.uid, record.user.gid, list(record.user.groups)]
    if record.resources is not None:
        data["resources"] = record.resources.SerializeToString().hex()
    return _dump(data)


def decode_container(config: bytes, state: bytes) -> records.Container:
    """Read a container back. Raises CodecError."""
    try:
        data = json.loads(state)
        data["state"] = records.ContainerState(data["state"])
        if data["user"] is not None:
            uid, gid, groups = data["user"]
            data["user"] = records.User(uid, gid, tuple(groups))
        if data["resources"] is not None:
            data["resources"] = pb.LinuxContainerResources.FromString(bytes.fromhex(data["resources"]))
        return records.Container(config=pb.ContainerConfig.FromString(config), **data)
    except (ValueError, TypeError, KeyError) as err:
        raise CodecError(f"cannot decode container record: {err}") from err


def _fields(record: records.Sandbox | records.Container) -> dict[str, Any]:
    """Return a record's fields without its config, one level deep."""
    names = record.__dataclass_fields__  # not by fields(): it leaves a spare tuple behind at each call
    return {name: _plain(getattr(record, name)) for name in names if name != "config"}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _dump(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), default=str).encode()
