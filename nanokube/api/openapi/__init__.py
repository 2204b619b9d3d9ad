"""OpenAPI documents of the resources: v2, and v3 by group-version. Pure, apart from reading descriptions.

The façade of this package. Documents are returned as JSON bytes. Building loads the descriptions of the
kubernetes-validate package (a few MB) and lets them go again; servers do it in another process (archive.py).
Source: k8s.io/kube-openapi, builder and builder3; api/openapi-spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from nanokube.api import facts
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


def v3_index(etags: Mapping[str, str], others: Mapping[str, str] | None = None) -> bytes:
    """Build /openapi/v3: the addresses of documents. etags: `key` -> hash of its document.

    others: `key` -> address, of documents that other servers have.
    """
    found = {each: {"serverRelativeURL": f"/openapi/v3/{each}?hash={etag}"} for each, etag in etags.items()}
    found |= {each: {"serverRelativeURL": url} for each, url in (others or {}).items()}
    return orjson.dumps({"paths": found})


def key(group: str, version: str) -> str:
    """Name a group-version as paths of the API do."""
    return f"apis/{group}/{version}" if group else f"api/{version}"


def v3_document(group: str, version: str, resources: Sequence[Resource] = ALL) -> bytes | None:
    """Build /openapi/v3/api/v1 or /openapi/v3/apis/<group>/<version>; None if it does not exist."""
    found = [r for r in resources if r.group == group and r.version == version]
    if not found:
        return None
    return v3_of(paths.v3(found), schemas.v3(_names(found)))


def v3_of(found: Mapping[str, Any], definitions: Mapping[str, Any]) -> bytes:
    """Build a document of version 3 of paths and component schemas."""
    document = {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": found,
        "components": {"schemas": definitions, "securitySchemes": _SECURITY},
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
