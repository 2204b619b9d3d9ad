"""Long lists: made piece by piece, whatever the number of objects, and the same in every form."""

from __future__ import annotations

import gzip

import orjson
import pytest

from nanokube.api import resources
from nanokube.apiserver.cache import selected
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.cache.selected import Selected
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


def _large(count: int = 40) -> list[Item]:
    front = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"%d","x":"%b"}}'
    return [Item(f"a/{n}", front % (n, b"y" * 9000), 1, 1) for n in range(count)]


def test_who_asks_again_gets_the_same_pieces_behind_a_head_of_the_present() -> None:
    pods, items = resources.get("pods"), Selected(_large())
    plain = b"".join(render.many(pods, _large(), {"resourceVersion": "7"}, OBJECT, 0.0))
    rounds = [list(render.many(pods, items, {"resourceVersion": "7"}, OBJECT, 0.0)) for _ in range(4)]
    assert {b"".join(pieces) for pieces in rounds} == {plain}
    assert [a is b for a, b in zip(rounds[2][1:], rounds[3][1:], strict=True)] == [True] * (
        len(rounds[2]) - 1
    )
    assert rounds[0][1] is not rounds[1][1]
    later = b"".join(render.many(pods, items, {"resourceVersion": "8"}, OBJECT, 0.0))
    assert later == plain.replace(b'"resourceVersion":"7"', b'"resourceVersion":"8"')


def test_an_answer_that_breaks_off_leaves_nothing_half_joined() -> None:
    pods, items = resources.get("pods"), Selected(_large())
    whole = b"".join(render.many(pods, items, {}, OBJECT, 0.0))
    halves = iter(render.many(pods, items, {}, OBJECT, 0.0))
    next(halves), next(halves)
    del halves
    assert b"".join(render.many(pods, items, {}, OBJECT, 0.0)) == whole


def test_a_list_larger_than_what_is_kept_is_joined_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected, "MOST_BYTES", 1000)
    pods, items = resources.get("pods"), Selected(_large())
    rounds = [list(render.many(pods, items, {}, OBJECT, 0.0)) for _ in range(3)]
    assert rounds[0] == rounds[2]
    assert rounds[1][1] is not rounds[2][1]


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE"])
async def test_a_list_shows_each_change_however_often_it_is_asked_for(api: Api, verb: str) -> None:
    obj = {"metadata": {"name": "m"}, "data": {"k": "1" * 300_000}}
    if verb != "POST":
        assert (await api("POST", MAPS, obj)).code == 201
    before = [(await api("GET", MAPS)).json for _ in range(4)]
    assert all(each == before[0] for each in before)
    path = MAPS if verb == "POST" else f"{MAPS}/m"
    changed = {**obj, "data": {"k": "2" * 300_000}} if verb != "DELETE" else None
    assert (await api(verb, path, changed)).code < 300
    for _ in range(3):
        found = [each["data"]["k"][0] for each in (await api("GET", MAPS)).json["items"]]
        assert found == ([] if verb == "DELETE" else ["2"])


async def test_any_version_gives_the_whole_list(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api("POST", MAPS, {"metadata": {"name": name}})
    whole = (await api("GET", MAPS + "?limit=1&resourceVersion=0")).json
    assert [len(whole["items"]), whole["metadata"].get("continue")] == [3, None]
    assert len((await api("GET", MAPS + "?limit=1")).json["items"]) == 1


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("?limit=", 400, 'strconv.ParseInt: parsing "": invalid syntax'),
        ("/a?resourceVersion=x", 400, "invalid resource version: "),
        ("/a?resourceVersion=99999999", 504, "Timeout: Too large resource version: 99999999, current: "),
        ("?continue=x&resourceVersion=1", 400, "invalid continue token: continue key is not valid: illegal"),
    ],
)
async def test_options_of_reads_are_looked_at(api: Api, query: str, code: int, said: str) -> None:
    await api("POST", MAPS, {"metadata": {"name": "a"}})
    found = await api("GET", MAPS + query)
    assert (found.code, found.json["message"][: len(said)]) == (code, said)


async def test_refusals_without_an_object_have_empty_details(api: Api) -> None:
    assert (await api("GET", "/api/v1/nopes")).json["details"] == {}
    assert (await api("POST", MAPS + "/a", {})).json["details"] == {}
    assert "details" not in (await api("GET", MAPS + "?limit=x")).json
