"""Owners that an object names twice: the second is passed over, and the client told. Pure but for the object.

Source: staging apiserver pkg/endpoints/handlers/create.go, dedupOwnerReferencesAndAddWarning.
"""

from __future__ import annotations

from typing import Any, Final

_ADVICE: Final = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
    "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
)


def once(obj: dict[str, Any]) -> list[str]:
    """Drop owners that are there already, in place; return what to tell the client."""
    metadata = obj.get("metadata") or {}
    references = metadata.get("ownerReferences") or ()
    if len(references) < 2:
        return []
    kept, again = list[Any](), list[str]()
    for reference in references:
        if reference in kept:
            again.append(reference.get("uid") or "")
        else:
            kept.append(reference)
    if not again:
        return []
    metadata["ownerReferences"] = kept
    return [_ADVICE + ", ".join(again)]
