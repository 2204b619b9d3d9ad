"""The CNI exec protocol as values in, values out: environment and stdin to a result. Runs no process.

Source: containernetworking SPEC.md 1.1.0, sections 2 (execution protocol) and 5 (result types).
"""

import dataclasses
import enum
import importlib
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Protocol, cast

from cni import result

Json = Mapping[str, Any]

VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
PLUGINS = {
    "bridge": "cni.bridge",
    "host-local": "cni.host_local",
    "loopback": "cni.loopback",
    "portmap": "cni.portmap",
    "ptp": "cni.ptp",
}

_NEEDED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "GC": (),
    "STATUS": (),
}
_SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
_CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
_IFNAME = re.compile(r"[^\s/:\0]{1,15}")  # dev_valid_name(), net/core/dev.c


class Code(enum.IntEnum):
    """Error codes of the specification; 100 and above are ours."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODING_FAILURE = 6
    INVALID_CONFIG = 7
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    NO_ADDRESS = 100
    CHECK_FAILED = 101
    INTERNAL = 999


class CniError(Exception):
    """A plugin's failure, as it goes to the caller in JSON."""

    def __init__(self, code: Code, message: str, details: str = "") -> None:
        super().__init__(message if not details else f"{message}: {details}")
        self.code = code
        self.message = message
        self.details = details

    def to_json(self, version: str) -> Json:
        return {"cniVersion": version, "code": int(self.code), "msg": self.message, "details": self.details}


@dataclasses.dataclass(frozen=True, slots=True)
class Args:
    """One call of a plugin. netns is a path; config is the network configuration with prevResult inside."""

    command: str
    container_id: str
    netns: str
    ifname: str
    args: Mapping[str, str]
    path: tuple[str, ...]
    config: Json


class Plugin(Protocol):
    """What a plugin module offers. Results are in the newest version; the skel converts them."""

    def add(self, args: Args) -> Json: ...
    def delete(self, args: Args) -> None: ...
    def check(self, args: Args) -> None: ...
    def gc(self, args: Args) -> None: ...
    def status(self, args: Args) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Attachment:
    """A container's interface, as GC lists those that are still valid."""

    container_id: str
    ifname: str


def valid_attachments(config: Json) -> frozenset[Attachment]:
    """Read `cni.dev/valid-attachments` of a GC configuration."""
    listed = config.get("cni.dev/valid-attachments") or []
    return frozenset(Attachment(item["containerID"], item["ifname"]) for item in listed)


def invoke(plugin: str | Plugin, env: Mapping[str, str], stdin: bytes) -> Json | None:
    """Run one verb of a plugin in this process.

    plugin: a name of PLUGINS, or the plugin itself. env: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME,
    CNI_ARGS, CNI_PATH. Returns the result object of ADD and VERSION, in the configuration's cniVersion.
    Raises CniError.
    """
    command = env.get("CNI_COMMAND", "")
    config = _decode(stdin)
    version = str(config.get("cniVersion") or "0.1.0")
    if command == "VERSION":
        return {"cniVersion": version, "supportedVersions": list(VERSIONS)}
    args = _args(command, version, env, config)
    module = load(plugin) if isinstance(plugin, str) else plugin
    try:
        return _dispatch(module, args, version)
    except OSError as err:
        raise CniError(Code.IO_FAILURE, f"{command} failed for {args.container_id}", str(err)) from err


def load(name: str) -> Plugin:
    """Return one of our own plugins. Raises CniError when there is none of that name."""
    if name not in PLUGINS:
        raise CniError(Code.INVALID_CONFIG, f"no plugin {name!r} among {', '.join(PLUGINS)}")
    return cast(Plugin, importlib.import_module(PLUGINS[name]))


def main(plugin: str) -> int:
    """Serve one execution: environment and stdin in, JSON on stdout out; returns the exit code."""
    try:
        answer = invoke(plugin, os.environ, sys.stdin.buffer.read())
    except CniError as err:
        json.dump(err.to_json(result.NEWEST), sys.stdout)
        return 1
    if answer is not None:
        json.dump(answer, sys.stdout)
    return 0


def _dispatch(module: Plugin, args: Args, version: str) -> Json | None:
    match args.command:
        case "ADD":
            return result.convert(module.add(args), version)
        case "DEL":
            module.delete(args)
        case "CHECK":
            module.check(args)
        case "GC":
            module.gc(args)
        case "STATUS":
            module.status(args)
    return None


def _decode(stdin: bytes) -> dict[str, Any]:
    try:
        config = json.loads(stdin or b"{}")
    except ValueError as err:
        raise CniError(Code.DECODING_FAILURE, "cannot decode network configuration", str(err)) from err
    if not isinstance(config, dict):
        raise CniError(Code.DECODING_FAILURE, "cannot decode network configuration", "not an object")
    if isinstance(config.get("prevResult"), dict):
        config["prevResult"] = result.upgrade(config["prevResult"])
    return config


def _args(command: str, version: str, env: Mapping[str, str], config: Json) -> Args:
    """Check what a verb needs. Source: SPEC.md section 2, "CNI operations"."""
    if command not in _NEEDED:
        raise CniError(Code.INVALID_ENVIRONMENT, f"unknown CNI_COMMAND {command!r}")
    if version not in VERSIONS:
        raise CniError(
            Code.INCOMPATIBLE_VERSION, f"cniVersion {version!r} is not one of {', '.join(VERSIONS)}"
        )
    if VERSIONS.index(version) < VERSIONS.index(_SINCE.get(command, VERSIONS[0])):
        raise CniError(Code.INCOMPATIBLE_VERSION, f"{command} does not exist in cniVersion {version}")
    missing = [name for name in _NEEDED[command] if not env.get(name)]
    if missing:
        raise CniError(Code.INVALID_ENVIRONMENT, f"missing {', '.join(missing)}")
    container_id, ifname = env.get("CNI_CONTAINERID", ""), env.get("CNI_IFNAME", "")
    if container_id and not _CONTAINER_ID.fullmatch(container_id):
        raise CniError(Code.INVALID_ENVIRONMENT, f"invalid CNI_CONTAINERID {container_id!r}")
    if ifname and (not _IFNAME.fullmatch(ifname) or ifname in (".", "..")):
        raise CniError(Code.INVALID_ENVIRONMENT, f"invalid CNI_IFNAME {ifname!r}")
    if not isinstance(config.get("name"), str) or not _NETWORK.fullmatch(config["name"]):
        raise CniError(Code.INVALID_CONFIG, f"invalid network name {config.get('name')!r}")
    return Args(
        command=command,
        container_id=container_id,
        netns=env.get("CNI_NETNS", ""),
        ifname=ifname,
        args=dict(pair.split("=", 1) for pair in env.get("CNI_ARGS", "").split(";") if "=" in pair),
        path=tuple([path for path in env.get("CNI_PATH", "").split(os.pathsep) if path]),
        config=config,
    )
