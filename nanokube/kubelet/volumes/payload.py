"""What ConfigMap and Secret volumes share: which keys become which files. Pure."""

from collections.abc import Mapping
from typing import Any

from nanokube.kubelet.volumes.atomic_writer import File
from nanokube.kubelet.volumes.errors import VolumeFault


def select(
    source: Mapping[str, Any], content: Mapping[str, bytes] | None, default_mode: int, missing: str
) -> dict[str, File]:
    """Pick items, or every key. content: None when the object is missing. Raises VolumeFault."""
    is_optional = bool(source.get("optional"))
    if content is None:
        if is_optional:
            return {}
        raise VolumeFault(missing)
    items = source.get("items")
    if not items:
        return {key: File(value, default_mode) for key, value in content.items()}
    chosen: dict[str, File] = {}
    for item in items:
        if item["key"] not in content:
            if is_optional:
                continue
            raise VolumeFault(f"references non-existent config key: {item['key']}")
        mode = item["mode"] if item.get("mode") is not None else default_mode
        chosen[item["path"]] = File(content[item["key"]], mode)
    return chosen
