"""Rules of the archive of OpenAPI documents."""

from __future__ import annotations

import orjson

from nanokube.api import resources
from nanokube.api.openapi import archive


def test_index_names_every_document_by_its_hash() -> None:
    found = archive.decode(
        archive.encode(archive.build([resources.get("pods"), resources.get("deployments.apps")]))
    )
    paths = orjson.loads(found["v3"].plain())["paths"]
    kinds = {"v3/api/v1", "v3/apis/apps/v1"}
    others = {"v3/api", "v3/apis", "v3/apis/apps", "v3/version", "v3/openid/v1/jwks"}
    others |= {"v3/.well-known/openid-configuration"}
    assert set(found) == {"v2", "v2.pb", "v3", *kinds, *others}
    assert paths["apis/apps/v1"]["serverRelativeURL"] == (
        f"/openapi/v3/apis/apps/v1?hash={found['v3/apis/apps/v1'].etag}"
    )
    assert orjson.loads(found["v3/api/v1"].plain())["openapi"] == "3.0.0"
