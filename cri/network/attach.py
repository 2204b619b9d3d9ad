"""Attaching a sandbox to the Pod network: a conflist's plugins in order, and their undoing.

What ADD was done with (list, capabilities, result) goes into the sandbox's record and comes back at
DEL, because the list in the directory may be another one by then.
Source: CNI SPEC.md 1.1.0, section 3.
"""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cni import skel
from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.network import conflist, plugin

log = logging.getLogger(__name__)

INTERFACE = "eth0"
_VALID_ATTACHMENTS = "cni.dev/valid-attachments"


@dataclasses.dataclass(frozen=True, slots=True)
class Attachment:
    """One sandbox on one network. result is None until ADD is complete."""

    network: conflist.ConfList
    capabilities: Mapping[str, Any]
    result: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "network": self.network.to_json(),
            "capabilities": dict(self.capabilities),
            "result": self.result,
        }


def from_json(data: Mapping[str, Any]) -> Attachment:
    """Read an attachment from a record. Raises conflist.ConfigError, KeyError."""
    return Attachment(conflist.parse(data["network"]), data["capabilities"], data["result"])


class Network:
    """The Pod network of a node, as the files in conf_dir describe it at each call.

    Blocking; ADD, DEL and GC belong on the network worker's thread, since our own plugins change
    the calling thread's network namespace while they work.
    """

    def __init__(self, conf_dir: Path, bin_dirs: Sequence[Path]) -> None:
        self._conf_dir = conf_dir
        self._bin_dirs = tuple(bin_dirs)

    def config(self) -> conflist.ConfList:
        """Return the current network. Raises conflist.ConfigError when there is none that can run."""
        path = conflist.find(self._conf_dir)
        if path is None:
            raise conflist.ConfigError(f"cannot find network configuration: none in {self._conf_dir}")
        network = conflist.load(path)
        lacking = conflist.missing(network.types, skel.PLUGINS, self._bin_dirs)
        if lacking:
            raise conflist.ConfigError(f"cannot use network {network.name}: plugins missing: {lacking}")
        return network

    def add(self, attachment: Attachment, sandbox_id: str, netns: str, args: str) -> Attachment:
        """Run ADD of each plugin. Raises plugin.PluginError; the caller then calls delete()."""
        result: Mapping[str, Any] | None = None
        for config in attachment.network.plugins:
            stdin = conflist.plugin_input(attachment.network, config, attachment.capabilities, {}, result)
            result = self._run("ADD", config, sandbox_id, netns, args, stdin) or result
            failpoint.hit("network.plugin_added")
        return dataclasses.replace(attachment, result=result or {})

    def delete(self, attachment: Attachment, sandbox_id: str, netns: str, args: str) -> None:
        """Run DEL of each plugin in reverse; all are tried, then the first failure is raised."""
        failure: plugin.PluginError | None = None
        network, capabilities = attachment.network, attachment.capabilities
        for config in reversed(network.plugins):
            stdin = conflist.plugin_input(network, config, capabilities, {}, attachment.result)
            try:
                self._run("DEL", config, sandbox_id, netns, args, stdin)
            except plugin.PluginError as err:
                failure = failure or err
        if failure is not None:
            raise failure

    def collect(self, sandbox_ids: Iterable[str]) -> None:
        """Run GC: let plugins drop what belongs to no sandbox in sandbox_ids. Failures are logged."""
        try:
            network = self.config()
        except (conflist.ConfigError, OSError):
            return
        if _version(network.version) < (1, 1):
            return
        valid = [{"containerID": identity, "ifname": INTERFACE} for identity in sandbox_ids]
        for config in network.plugins:
            stdin = conflist.plugin_input(network, config, {}, {_VALID_ATTACHMENTS: valid}, None)
            try:
                self._run("GC", config, "", "", "", stdin)
            except plugin.PluginError as err:
                log.warning("network garbage not collected: %s", err)

    def _run(
        self, command: str, config: Mapping[str, Any], sandbox_id: str, netns: str, args: str, stdin: bytes
    ) -> Mapping[str, Any] | None:
        env = {"CNI_COMMAND": command, "CNI_PATH": ":".join(map(str, self._bin_dirs))}
        if command != "GC":
            env |= {
                "CNI_CONTAINERID": sandbox_id,
                "CNI_NETNS": netns,
                "CNI_IFNAME": INTERFACE,
                "CNI_ARGS": args,
            }
        return plugin.run(config["type"], env, stdin, self._bin_dirs)


def capabilities(config: pb.PodSandboxConfig) -> dict[str, Any]:
    """Return the runtime values a plugin may declare it wants. Pure.

    Source: CNI CONVENTIONS.md, dynamic plugin specific fields.
    """
    mappings = [
        {
            "hostPort": mapping.host_port,
            "containerPort": mapping.container_port,
            "protocol": pb.Protocol.Name(mapping.protocol).lower(),
            "hostIP": mapping.host_ip,
        }
        for mapping in config.port_mappings
        if mapping.host_port > 0
    ]
    return {"portMappings": mappings} if mappings else {}


def arguments(config: pb.PodSandboxConfig, sandbox_id: str) -> str:
    """Return CNI_ARGS for a sandbox. Raises ValueError for a name that would be read as more. Pure."""
    metadata = config.metadata
    pairs = {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": metadata.namespace,
        "K8S_POD_NAME": metadata.name,
        "K8S_POD_INFRA_CONTAINER_ID": sandbox_id,
        "K8S_POD_UID": metadata.uid,
    }
    for value in pairs.values():
        if any(mark in value for mark in ";=\n\x00"):
            raise ValueError(f"cannot pass {value!r} to the network plugins: reserved character")
    return ";".join(f"{key}={value}" for key, value in pairs.items())


def _version(text: str) -> tuple[int, ...]:
    return tuple([int(part) for part in text.split(".") if part.isdigit()])
