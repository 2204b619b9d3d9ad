"""OpenAPI documents of the resources: v2, and v3 by group-version. Pure, apart from reading descriptions.

The façade of this package. Documents are returned as JSON bytes, to be built on first request and cached:
building
loads the descriptions of the kubernetes-validate package (a few MB) and lets them go again.
Source: k8s.io/kube-openapi, builder and builder3; api/openapi-spec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import orjson

from nanokube.api import discovery, facts
from nanokube.api.openapi import paths, schemas
from nanokube.api.resources import ALL, Resource

_INFO: Final = {"title": "Kubernetes", "version": "v1.36.0"}
_SECURITY: Final = {
    "BearerToken": {
        "description": "Bearer Token authentication",
        "in": "header",
        "name": "authorization",
        "type": "apiKey",
    }
}


def v3_index(resources: Sequence[Resource] = ALL) -> bytes:
    """Build /openapi/v3: the address of each group-version's document, with a hash of its sources."""
    found = {
        _key(group, version): {
            "serverRelativeURL": f"/openapi/v3/{_key(group, version)}?hash={_hash(group, version, resources)}"
        }
        for group, versions in discovery.group_versions(resources).items()
        for version in versions
    }
    return orjson.dumps({"paths": found})


def v3_document(group: str, version: str, resources: Sequence[Resource] = ALL) -> bytes | None:
    """Build /openapi/v3/api/v1 or /openapi/v3/apis/<group>/<version>; None if it does not exist."""
    found = [r for r in resources if r.group == group and r.version == version]
    if not found:
        return None
    document = {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": paths.v3(found),
        "components": {
            "schemas": schemas.v3(_names(found)),
            "securitySchemes": _SECURITY,
        },
    }
    return orjson.dumps(document)


def v2_document(resources: Sequence[Resource] = ALL) -> bytes:
    """Build /openapi/v2 (Swagger 2.0)."""
    document: dict[str, Any] = {
        "swagger": "2.0",
        "info": _INFO,
        "paths": paths.v2(resources),
        "definitions": schemas.v2(_names(resources)),
        "securityDefinitions": _SECURITY,
        "security": [{"BearerToken": []}],
    }
    return orjson.dumps(document)


def _key(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _hash(group: str, version: str, resources: Sequence[Resource]) -> str:
    rows = [repr(r) for r in resources if (r.group, r.version) == (group, version)]
    return hashlib.sha256("\n".join([facts.digest(), *rows]).encode()).hexdigest()[:32].upper()


def _names(resources: Sequence[Resource]) -> set[str]:
    """Return the definitions that the paths of the resources mention."""
    found = {schemas.STATUS, schemas.DELETE_OPTIONS, schemas.PATCH, schemas.WATCH_EVENT}
    for resource in resources:
        kinds = [(resource.group, resource.version, resource.kind)]
        if "list" in resource.verbs:
            kinds.append((resource.group, resource.version, resource.list_kind))
        for sub in resource.subresources:
            if sub.version:
                kinds.append((sub.group, sub.version, sub.kind))
            else:
                kinds.append((resource.group, resource.version, sub.kind))
        found |= {name for kind in kinds if (name := facts.name_of(*kind)) is not None}
    return found
