"""Files of a Secret. Pure.

Source: pkg/volume/secret/secret.go MakePayload.
"""

import base64
from collections.abc import Mapping
from typing import Any

from nanokube.kubelet.volumes.atomic_writer import File
from nanokube.kubelet.volumes.payload import select

Object = Mapping[str, Any]


def files(source: Object, secret: Object | None, default_mode: int) -> dict[str, File]:
    """Build the files of a secret source; none when it is optional and missing. Raises VolumeFault."""
    name = source.get("secretName") or source.get("name")
    if secret is None:
        return select(source, None, default_mode, f'secret "{name}" not found')
    content = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    return select(source, content, default_mode, "")
