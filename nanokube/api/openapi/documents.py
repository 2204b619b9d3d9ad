"""Paths that are no resources: discovery, version, the token issuer's documents. Pure.

Source: api/openapi-spec: each has a document of its own in OpenAPI v3, but for lists of resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from nanokube.api.openapi import paths
from nanokube.api.openapi.paths import Operation, Path

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
_VERSION_INFO: Final = "io.k8s.apimachinery.pkg.version.Info"
_JSON: Final = ("application/json",)


def of_version(group: str, version: str) -> Path:
    """Describe the list of a group-version's resources."""
    name = paths.group_title(group)
    identity = f"get{paths.capital(name)}{version.capitalize()}APIResources"
    types = (*paths.TYPES, "application/cbor")
    root = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
    return _path(root, identity, f"{name}_{version}", "list the resources", f"{_META}.APIResourceList", types)


def others(groups: Iterable[str]) -> Mapping[str, Path]:
    """Describe what is above group-versions and beside them, by the key of the document of version 3."""
    found = {
        "api": _path("/api/", "getCoreAPIVersions", "core", "list the versions", f"{_META}.APIVersions"),
        "apis": _path("/apis/", "getAPIVersions", "apis", "list the groups", f"{_META}.APIGroupList"),
    }
    for group in filter(None, groups):
        name = paths.group_title(group)
        identity = f"get{paths.capital(name)}APIGroup"
        found[f"apis/{group}"] = _path(
            f"/apis/{group}/", identity, name, "tell of the group", f"{_META}.APIGroup"
        )
    found["version"] = _path(
        "/version/", "getCodeVersion", "version", "tell the server's version", _VERSION_INFO, _JSON
    )
    found[".well-known/openid-configuration"] = _path(
        "/.well-known/openid-configuration/",
        "getServiceAccountIssuerOpenIDConfiguration",
        "WellKnown",
        "describe the issuer of ServiceAccounts' tokens, as OpenID Connect has it",
        paths.TEXT,
        _JSON,
        consumes=(),
    )
    found["openid/v1/jwks"] = _path(
        "/openid/v1/jwks/",
        "getServiceAccountIssuerOpenIDKeyset",
        "openid",
        "list the public keys that ServiceAccounts' tokens are verified by",
        paths.TEXT,
        ("application/jwk-set+json",),
        consumes=(),
    )
    return found


def _path(
    path: str,
    identity: str,
    tag: str,
    description: str,
    answer: str,
    types: Sequence[str] = paths.TYPES,
    *,
    consumes: Sequence[str] | None = None,
) -> Path:
    operation = Operation(
        method="get",
        action="",
        id=identity,
        group=tag,
        kind=None,
        answer=answer,
        consumes=types if consumes is None else consumes,
        produces=types,
        description=description,
    )
    return Path(path, (), (), [operation])
