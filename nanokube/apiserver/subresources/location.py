"""Where a connect subresource leads: which container, which kubelet, which path there. Pure.

Source: kubernetes pkg/registry/core/pod/strategy.go (LogLocation, streamLocation, PortForwardLocation).
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from nanokube.api import errors, field, timestamps
from nanokube.api.resource import Resource

Object = Mapping[str, Any]

KUBELET_PORT = 10250
_LOG_OPTIONS = Resource("", "v1", "PodLogOptions", "", "", True)
_LEAST = {"sinceSeconds": 1, "tailLines": 0, "limitBytes": 1}
_STREAMS = ("All", "Stderr", "Stdout")
_LAYOUT = "2006-01-02T15:04:05Z07:00"  # how Go writes RFC 3339
_TRUE_PARAMETERS = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a kubelet listens."""

    host: str
    port: int


def kubelet(node: Object) -> Address:
    """Return the address of a Node's kubelet. Raises ApiError."""
    status = node.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or KUBELET_PORT
    addresses = {entry.get("type"): entry.get("address") for entry in status.get("addresses") or ()}
    for kind in ("InternalIP", "Hostname", "ExternalIP"):
        if addresses.get(kind):
            return Address(addresses[kind], port)
    raise errors.internal(f"no preferred addresses found for node {node['metadata']['name']}")


def node_name(pod: Object) -> str:
    """Return the Node a Pod runs on; "" before it is scheduled."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def require_node(pod: Object) -> str:
    """Return the Node a Pod runs on. Raises ApiError before it is scheduled."""
    if name := node_name(pod):
        return name
    raise errors.bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")


def container(pod: Object, asked: str) -> str:
    """Return the container meant: the one asked for, or the only one. Raises ApiError."""
    name = pod["metadata"]["name"]
    names = list(_container_names(pod))
    if asked:
        if asked not in names:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    own: Sequence[Object] = pod["spec"].get("containers") or ()
    if len(own) == 1:
        return str(own[0]["name"])
    choice = f", choose one of: [{' '.join(names)}]" if own else ""
    raise errors.bad_request(f"a container name must be specified for pod {name}{choice}")


def _container_names(pod: Object) -> Iterator[str]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for entry in pod["spec"].get(key) or ():
            yield entry["name"]


def stream_target(verb: str, pod: Object, name: str, query: Sequence[tuple[str, str]]) -> str:
    """Return the kubelet's path for exec or attach, with its names for the parameters."""
    pairs = [(theirs, "1") for ours, theirs in _TRUE_PARAMETERS if is_true(_last(query, ours))]
    if verb == "exec":
        pairs += [("command", value) for key, value in query if key == "command"]
    return _path(verb, pod, name) + "?" + urlencode(pairs)


def forward_target(pod: Object, query: Sequence[tuple[str, str]]) -> str:
    """Return the kubelet's path for port-forward. Raises ApiError."""
    ports = [text for key, value in query if key == "ports" for text in value.split(",")]
    if not all(text.isdigit() and 0 < int(text) <= 65535 for text in ports):
        raise errors.bad_request(f"invalid ports {','.join(ports)}")
    path = _path("portForward", pod)
    return path + ("?" + urlencode({"port": ",".join(ports)}) if ports else "")


def log_target(pod: Object, name: str, query: Sequence[tuple[str, str]]) -> str:
    """Return the kubelet's path for a container's log. query: checked by `check_log_options`."""
    pairs = [(flag, "true") for flag in ("follow", "previous", "timestamps") if is_true(_last(query, flag))]
    pairs += [(key, text) for key in (*_LEAST, "sinceTime") if (text := _last(query, key))]
    stream = _last(query, "stream") or _STREAMS[0]
    return _path("containerLogs", pod, name) + "?" + urlencode([*pairs, ("stream", stream)])


def check_log_options(pod_name: str, query: Sequence[tuple[str, str]]) -> None:
    """Refuse options of logs that are wrong whatever the Pod. Raises ApiError (400, 422)."""
    numbers = {key: _number(text) for key in _LEAST if (text := _last(query, key))}
    since_time = _last(query, "sinceTime")
    if since_time:
        _check_time(since_time)
    found = []
    if since_time and "sinceSeconds" in numbers:
        found.append(field.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    for key, number in numbers.items():
        if number < _LEAST[key]:
            bound = "greater than 0" if _LEAST[key] else "greater than or equal to 0"
            found.append(field.invalid(key, number, f"must be {bound}"))
    stream = _last(query, "stream") or _STREAMS[0]
    if stream not in _STREAMS:
        found.append(field.not_supported("stream", stream, _STREAMS))
    elif stream != _STREAMS[0] and "tailLines" in numbers:
        found.append(field.forbidden("tailLines", "may not be specified when stream is not 'All'"))
    if found:
        raise errors.invalid(_LOG_OPTIONS, pod_name, found)


def is_true(text: str) -> bool:
    """Read a boolean parameter as Kubernetes does."""
    return text.lower() not in ("", "0", "false")


def _path(verb: str, pod: Object, *more: str) -> str:
    meta = pod["metadata"]
    return "/" + "/".join(quote(part, safe="") for part in (verb, meta["namespace"], meta["name"], *more))


def _last(query: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in query if key == name), "")


def _check_time(text: str) -> None:
    try:
        timestamps.parse(text)
    except ValueError as err:
        cause = f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{text}" as "2006"'
        raise errors.bad_request(cause) from err


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
