"""When custom resources go out as they are stored."""

from __future__ import annotations

import sys
from typing import Any

from nanokube.apiserver.cache.cache import Cache
from nanokube.apiserver.cache.item import encode
from nanokube.apiserver.cache.outbox import Outbox
from nanokube.apiserver.extensions import definitions
from nanokube.apiserver.extensions.kinds import SETTLING_TICKS, Definition, Kinds
from nanokube.storage.store import Event
from tests.unit.nanokube.apiserver import custom_kinds

NAME = "gadgets.example.com"


def crd() -> dict[str, Any]:
    found = custom_kinds.definition(custom_kinds.version("v1"), custom_kinds.version("v2", is_stored=False))
    definitions.settle(found, [], "2026-01-01T00:00:00Z")
    return found


def write(cache: Cache, name: str, revision: int, version: str = "v1") -> None:
    made = custom_kinds.gadget(name, api_version=f"example.com/{version}")
    key = f"default/{name}"
    cache.apply(key, Event(key, encode(made), revision, revision))


def test_a_list_is_whole_when_all_was_written_under_the_definition() -> None:
    cache, definition = Cache(NAME, 1, Outbox()), Definition(crd(), 10)
    write(cache, "old", 5)
    write(cache, "new", 11)
    assert not definition.is_whole(cache, "v1")
    write(cache, "old", 12)
    assert definition.is_whole(cache, "v1")
    assert not definition.is_whole(cache, "v2")
    write(cache, "new", 13, "v2")
    assert not definition.is_whole(cache, "v1")
    cache.apply("default/new", Event("default/new", None, 14, 0))
    assert definition.is_whole(cache, "v1")
    definition.since = 15
    assert not definition.is_whole(cache, "v1")


def test_a_definition_that_is_gone_leaves_nothing_at_the_cache() -> None:
    cache, definition = Cache(NAME, 1, Outbox()), Definition(crd(), 10)
    definition.is_whole(cache, "v1")
    assert cache.watcher_count == 1
    definition.end()
    assert cache.watcher_count == 0


def test_other_servers_are_given_time_to_hear_of_a_change() -> None:
    """What one of them writes meanwhile, it may have checked by the definition as it was."""
    kinds = Kinds(is_shared=True)
    kinds.load([crd()], 10)
    found = kinds.definition(NAME)
    assert found is not None
    assert found.since == sys.maxsize
    for tick in range(SETTLING_TICKS):
        kinds.tick(0.0, 20 + tick)
    assert found.since == 20 + SETTLING_TICKS - 1
    kinds.tick(0.0, 40)
    assert found.since < 40
