"""The CNI exec protocol as values in, values out: environment and stdin to a result. Runs no process.

Source: containernetworking SPEC.md 1.1.0, sections 2 (execution protocol) and 5 (result types).
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Protocol

Json = Mapping[str, Any]

VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
PLUGINS = {
    "bridge": "cni.bridge",
    "host-local": "cni.host_local",
    "loopback": "cni.loopback",
    "portmap": "cni.portmap",
}


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


def invoke(plugin: str | Plugin, env: Mapping[str, str], stdin: bytes) -> Json | None:
    """Run one verb of a plugin in this process.

    plugin: a name of PLUGINS, or the plugin itself. env: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME,
    CNI_ARGS, CNI_PATH. Returns the result object of ADD and VERSION, in the configuration's cniVersion.
    Raises CniError.
    """
    raise NotImplementedError


def main(plugin: str) -> int:
    """Serve one execution: environment and stdin in, JSON on stdout out; returns the exit code."""
    raise NotImplementedError
