"""Long lists: made piece by piece, whatever the number of objects, and the same in every form."""

from __future__ import annotations

import gzip

import orjson
import pytest

from nanokube.api import resources
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.endpoints import render
from nanokube.apiserver.endpoints.negotiate import OBJECT
from nanokube.kit.http.message import LongBody, size_of
from tests.unit.nanokube.apiserver.conftest import Api

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(("count", "size", "is_long"), [(1, 9, False), (40, 9000, True), (3, 300_000, True)])
def test_a_long_list_is_made_in_pieces(count: int, size: int, is_long: bool) -> None:
    front = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"%d","x":"%b"}}'
    items = [Item(f"a/{n}", front % (n, b"y" * size), 1, 1) for n in range(count)]
    parts = render.many(resources.get("pods"), items, {"resourceVersion": "7"}, OBJECT, 0.0)
    whole = b"".join(parts)
    assert isinstance(parts, LongBody) is is_long
    assert len(whole) == size_of(parts)
    found = orjson.loads(whole)
    assert (found["kind"], found["metadata"]) == ("PodList", {"resourceVersion": "7"})
    assert [item["metadata"]["name"] for item in found["items"]] == [str(n) for n in range(count)]
    assert {tuple(item) for item in found["items"]} == {("metadata",)}


async def test_a_long_list_can_be_compressed_and_be_read_by_people(api: Api) -> None:
    for name in ("a", "b", "c"):
        data = {"k": name * 120_000}
        assert (await api("POST", MAPS, {"metadata": {"name": name}, "data": data})).code == 201
    plain = (await api("GET", MAPS)).json
    assert [item["data"]["k"][:1] for item in plain["items"]] == ["a", "b", "c"]
    packed = await api("GET", MAPS, headers={"accept-encoding": "gzip"})
    assert orjson.loads(gzip.decompress(packed.body)) == plain
    assert (await api("GET", f"{MAPS}?pretty=true")).json == plain
