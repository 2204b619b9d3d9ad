"""Patches as the fake server applies them. Pure.

Strategic and apply patches are merged like RFC 7386 except that lists of named or typed things merge by that
key: enough for what components send, not the API's rules.
"""

from typing import Any

from nanokube.client.interface import PatchKind

_REPLACE = {"$patch": "replace"}
MERGE_KEYS = ("type", "name", "uid", "key", "containerPort")


def patched(obj: dict[str, Any], body: Any, kind: PatchKind) -> dict[str, Any]:
    """Apply a patch to a copy of an object; the copy may be changed."""
    if kind is PatchKind.JSON:
        for operation in body:
            _operate(obj, operation)
        return obj
    merged: dict[str, Any] = merge(obj, body, by_key=kind is not PatchKind.MERGE)
    return merged


def merge(old: Any, patch: Any, *, by_key: bool = False) -> Any:
    """Merge as RFC 7386; by_key merges lists of objects by their first merge key."""
    if isinstance(patch, dict):
        result = dict(old) if isinstance(old, dict) else {}
        for name, value in patch.items():
            if name.startswith("$deleteFromPrimitiveList/"):
                field = name.partition("/")[2]
                result[field] = [item for item in result.get(field) or () if item not in value]
                continue
            if name.startswith("$"):
                continue
            if name == "finalizers" and by_key and value:
                value = list(dict.fromkeys([*(result.get(name) or ()), *value]))
            if value is None:
                result.pop(name, None)
            else:
                result[name] = merge(result.get(name), value, by_key=by_key)
        return result
    if by_key and isinstance(patch, list):
        if _REPLACE in patch:
            return [item for item in patch if item != _REPLACE]
        if isinstance(old, list):
            return _merge_lists(old, patch)
    return patch


def _merge_lists(old: list[Any], patch: list[Any]) -> list[Any]:
    if not all(isinstance(item, dict) for item in old + patch):
        return patch
    key = next((key for key in MERGE_KEYS if patch and all(key in item for item in patch)), None)
    if key is None:
        return patch
    result = list(old)
    for item in patch:
        place = next((n for n, have in enumerate(result) if have.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            result = [have for have in result if have.get(key) != item[key]]
        elif place is None:
            result.append(item)
        else:
            result[place] = merge(result[place], item, by_key=True)
    return result


def _operate(obj: dict[str, Any], operation: dict[str, Any]) -> None:
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    target: Any = obj
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    position: Any = last
    if isinstance(target, list):
        position = len(target) if last == "-" else int(last)
    match operation["op"]:
        case "remove":
            del target[position]
        case "add" if isinstance(target, list):
            target.insert(position, operation["value"])
        case "add" | "replace":
            target[position] = operation["value"]
        case "test":
            if target[position] != operation["value"]:
                raise ValueError(f"test of {operation['path']} failed")
