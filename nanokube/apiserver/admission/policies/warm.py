"""Compiles policies before they are asked: the first request they are about would wait for it.

At start, and when changes have come to rest: while many are made, each would have all chosen again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Never

from nanokube.api import resources
from nanokube.api.cel import admission as expressions
from nanokube.api.resources import Resource
from nanokube.apiserver.admission.chain import CREATE, UPDATE, Attributes
from nanokube.apiserver.admission.matching import rules
from nanokube.apiserver.admission.matching.values import BOOL
from nanokube.apiserver.admission.policies.policy import Policy
from nanokube.apiserver.admission.policies.source import Source
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import Cache, Change

log = logging.getLogger(__name__)

_REST_S: Final = 1.0
_KINDS: Final = 16  # of requests
_EXPRESSIONS: Final = 4096  # half of what is kept compiled
_USUAL: Final = "pods"  # what stands for all, where rules are about all


class Warm:
    """Follows policies and their bindings. caches: where they are. rest_s: how long nothing has to change."""

    def __init__(self, sources: Sequence[Source], caches: Sequence[Cache], rest_s: float = _REST_S) -> None:
        self._sources = sources
        self._caches = caches
        self._rest_s = rest_s
        self._changed = asyncio.Event()

    def offer(self, change: Change) -> None:
        """A policy or a binding changed."""
        self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    async def run(self) -> Never:
        """Compile what there is, and what changes, for ever."""
        for cache in self._caches:
            cache.attach(self)
        while True:
            await self.settle()
            await self._changed.wait()
            while self._changed.is_set():
                self._changed.clear()
                await asyncio.sleep(self._rest_s)

    async def settle(self) -> None:
        """Compile what there is."""
        for source in self._sources:
            try:
                await warm(source)
            except Exception:  # who asks for it will hear of it
                log.exception("policies not compiled")


async def warm(source: Source) -> None:
    """Compile policies for those kinds of requests that most of them are about."""
    found = await source.policies()
    for operation, resource in likely(found):
        await source.find(Attributes(operation, OWN, resource, "", "", "", None, None))
    for policy in found[:_EXPRESSIONS]:
        for validation in policy.validations:
            expressions.compiled(policy.scope, validation.expression, BOOL)
            await asyncio.sleep(0)


def likely(policies: Iterable[Policy]) -> list[tuple[str, Resource]]:
    """List operations and resources that most policies are about, the most frequent first. Pure."""
    found = Counter(pair for policy in policies for pair in set(_about(policy)))
    return [pair for pair, _ in found.most_common(_KINDS)]


def _about(policy: Policy) -> Iterator[tuple[str, Resource]]:
    for rule in policy.criteria.rules:
        for operation in (CREATE, UPDATE):
            if not rule.operations & {operation, rules.ALL}:
                continue
            for plural, subresource in rule.resources:
                resource = _BY_PLURAL.get(_USUAL if plural == rules.ALL else plural)
                if resource is not None and rule.matches(operation, resource, subresource):
                    yield operation, resource


_BY_PLURAL: Final = {resource.plural: resource for resource in reversed(resources.ALL)}
