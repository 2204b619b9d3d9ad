"""Files of the downward API. Pure.

Source: pkg/volume/downwardapi/downwardapi.go CollectData.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.kubelet.containers import fields
from nanokube.kubelet.volumes.atomic_writer import File
from nanokube.kubelet.volumes.errors import VolumeFault

Object = Mapping[str, Any]


def files(
    pod: Object,
    items: Sequence[Object],
    default_mode: int,
    *,
    allocatable: Mapping[str, str],
    host_ips: Sequence[str],
    pod_ips: Sequence[str],
) -> dict[str, File]:
    """Build the files of downwardAPI items. Raises VolumeFault."""
    chosen: dict[str, File] = {}
    for item in items:
        try:
            if item.get("fieldRef"):
                value = fields.field_value(
                    pod, item["fieldRef"]["fieldPath"], host_ips=host_ips, pod_ips=pod_ips
                )
            else:
                value = _resource(pod, item["resourceFieldRef"], allocatable)
        except fields.FieldError as error:
            raise VolumeFault(str(error)) from error
        mode = item["mode"] if item.get("mode") is not None else default_mode
        chosen[item["path"]] = File(value.encode(), mode)
    return chosen


def _resource(pod: Object, reference: Object, allocatable: Mapping[str, str]) -> str:
    spec = pod["spec"]
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        if container["name"] == reference.get("containerName"):
            return fields.resource_value(container, reference, fields.available(pod, allocatable))
    raise VolumeFault(f"container {reference.get('containerName')!r} not found")
