"""Files of a ConfigMap. Pure.

Source: pkg/volume/configmap/configmap.go MakePayload.
"""

import base64
from collections.abc import Mapping
from typing import Any

from nanokube.kubelet.volumes.atomic_writer import File
from nanokube.kubelet.volumes.payload import select

Object = Mapping[str, Any]


def files(source: Object, config_map: Object | None, default_mode: int) -> dict[str, File]:
    """Build the files of a configMap source; none when it is optional and missing. Raises VolumeFault."""
    if config_map is None:
        return select(source, None, default_mode, f'configmap "{source["name"]}" not found')
    content = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    for key, value in (config_map.get("binaryData") or {}).items():
        content[key] = base64.b64decode(value)
    return select(source, content, default_mode, "")
