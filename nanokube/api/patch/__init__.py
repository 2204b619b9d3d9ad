"""Patches of objects: JSON patch, JSON merge patch, strategic merge patch, server-side apply. Pure.

The façade of this package. None of these changes its inputs; results may share subtrees with them.
"""

from __future__ import annotations

from nanokube.api.patch import apply, json_patch, managed, merge, omitted, strategic, undeclared

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
APPLY_CBOR = "application/apply-patch+cbor"

apply_json_patch = json_patch.apply
apply_merge_patch = merge.apply
apply_strategic_patch = strategic.apply
apply_configuration = apply.apply
merge_configuration = apply.merge
track_update = managed.track_update
refuse_undeclared = undeclared.refusal
restore_zeros = omitted.restore

__all__ = [
    "APPLY",
    "APPLY_CBOR",
    "JSON",
    "MERGE",
    "STRATEGIC",
    "apply_configuration",
    "apply_json_patch",
    "apply_merge_patch",
    "apply_strategic_patch",
    "merge_configuration",
    "refuse_undeclared",
    "restore_zeros",
    "track_update",
]
