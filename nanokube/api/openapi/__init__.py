"""OpenAPI documents of the resources: v2, and v3 by group-version. Pure, apart from reading descriptions.

The façade of this package. Documents are returned as JSON bytes. Building loads the descriptions of the
kubernetes-validate package (a few MB) and lets them go again; servers do it in another process (archive.py).
Source: k8s.io/kube-openapi, builder and builder3; api/openapi-spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from nanokube.api import discovery
from nanokube.api.openapi import documents, paths, schemas
from nanokube.api.openapi.paths import Path
from nanokube.api.resources import ALL, Resource

_INFO: Final = {"title": "Kubernetes", "version": "1.36"}
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


def v3_documents(resources: Sequence[Resource] = ALL) -> Mapping[str, bytes]:
    """Build what is at /openapi/v3/<key>: of group-versions, and of what is above and beside them."""
    versions = discovery.group_versions(resources)
    found = {key: _v3([path]) for key, path in documents.others(versions).items()}
    for group, names in versions.items():
        for version in names:
            body = v3_document(group, version, resources)
            if body is not None:
                found[key(group, version)] = body
    return found


def v3_document(group: str, version: str, resources: Sequence[Resource] = ALL) -> bytes | None:
    """Build /openapi/v3/api/v1 or /openapi/v3/apis/<group>/<version>; None if it does not exist."""
    found = [r for r in resources if r.group == group and r.version == version]
    if not found:
        return None
    return _v3([documents.of_version(group, version), *paths.of(found)], (group, version))


def _v3(found: Sequence[Path], version: tuple[str, str] | None = None) -> bytes:
    definitions = dict(schemas.v3(_names(found)))
    for name in (schemas.DELETE_OPTIONS, schemas.WATCH_EVENT):
        if version is not None and name in definitions:
            definitions[name] = _of_version(definitions[name], version)
    return v3_of(paths.write_v3(found), definitions)


def _of_version(definition: Mapping[str, Any], version: tuple[str, str]) -> dict[str, Any]:
    """Name of a kind that every group-version has those of the core and of the document's own alone."""
    key = "x-kubernetes-group-version-kind"
    kinds = [e for e in definition[key] if (e["group"], e["version"]) in (("", "v1"), version)]
    return {**definition, key: kinds}


def v3_of(found: Mapping[str, Any], definitions: Mapping[str, Any]) -> bytes:
    """Build a document of version 3 of paths and component schemas."""
    components = {"schemas": definitions} if definitions else {}
    document = {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": found,
        "components": {**components, "securitySchemes": _SECURITY},
    }
    return orjson.dumps(document)


def v2_document(resources: Sequence[Resource] = ALL) -> bytes:
    """Build /openapi/v2 (Swagger 2.0)."""
    versions = discovery.group_versions(resources)
    found = [
        *documents.others(versions).values(),
        *(documents.of_version(group, name) for group, names in versions.items() for name in names),
        *paths.of(resources),
    ]
    document: dict[str, Any] = {
        "swagger": "2.0",
        "info": _INFO,
        "paths": paths.write_v2(found),
        "definitions": schemas.v2(_names(found)),
        "securityDefinitions": _SECURITY,
        "security": [{"BearerToken": []}],
    }
    return orjson.dumps(document)


def _names(found: Sequence[Path]) -> set[str]:
    """Return the definitions that paths mention, and that of events if anything can be watched."""
    operations = [operation for path in found for operation in path.operations]
    names = {name for each in operations for name in (each.body, each.answer) if name and name != paths.TEXT}
    return names | {schemas.WATCH_EVENT for each in operations if each.action == "list"}
