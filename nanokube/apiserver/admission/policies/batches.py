"""Match conditions that must be evaluated, evaluated together: those that are false cost next to nothing.

Conditions go to a bucket by what they say, so that a change of one policy is a change of one bucket, and a
bucket that was compiled before is found again. A request compiles one at most; what is in others is left to
be evaluated one by one until then, as is always what asks for authorization. In the end those buckets are put
together that became small, because their conditions are alike.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, TypeVar

from nanokube.api.cel import admission as expressions
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.batch import Batch, Together
from nanokube.api.cel.environment import Program
from nanokube.apiserver.admission.matching import reads
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.matching.reads import Parts
from nanokube.apiserver.admission.matching.values import BOOL, Values

SIZE: Final = 128  # conditions of a bucket: compiling them takes some 10 ms, asking them some 10 us
FEW: Final = 4  # below, one by one is as good
_SMALL: Final = 400  # nodes of what is put together: takes some milliseconds
_KEPT: Final = 512  # buckets

G = TypeVar("G")
Key = tuple[Scope, tuple[str, ...]]


class Bucket:
    """What was compiled of some conditions. parts: what they read. left: those that are always undecided."""

    def __init__(self, keys: Sequence[Key]) -> None:
        members, self._numbers, self._others = list[list[Program]](), list[int](), list[int]()
        parts = set[tuple[str, str, str]]()
        for number, (scope, sources) in enumerate(keys):
            found = _programs(scope, sources)
            if found is None:
                self._others.append(number)
                continue
            members.append(found[0])
            self._numbers.append(number)
            parts |= found[1]
        self.batch = Batch(members)
        self.left = [*self._others, *[self._numbers[member] for member in self.batch.alone]]
        self.parts: Parts = frozenset(parts)

    def undecided(self, values: Values, parts: Parts) -> list[int]:
        """List which are not certainly false. parts: what to bind, at least what is read here."""
        if not self._numbers:
            return self._others
        found = self.batch.undecided(values.reading(parts))
        return [*self._others, *[self._numbers[member] for member in found]]


_buckets: OrderedDict[tuple[Key, ...], Bucket] = OrderedDict()
_together: OrderedDict[tuple[tuple[Key, ...], ...], Together] = OrderedDict()


class Batches(Generic[G]):
    """entries: conditions, and who is asked if they hold."""

    def __init__(self, entries: Iterable[tuple[Conditions, G]]) -> None:
        self._always: list[G] = []
        groups: dict[Key, list[G]] = {}
        for conditions, group in entries:
            groups.setdefault((conditions.scope, conditions.sources), []).append(group)
        if len(groups) < FEW:
            self._always = [group for each in groups.values() for group in each]
            groups = {}
        count = 1 << max(0, (len(groups) - 1) // SIZE).bit_length()
        found: dict[int, list[Key]] = {}
        for key in sorted(groups, key=lambda key: (key[1], key[0].has_params)):
            found.setdefault(zlib.crc32("\n".join(key[1]).encode()) % count, []).append(key)
        self._keys = [tuple(keys) for keys in found.values()]
        self._groups = [[groups[key] for key in keys] for keys in self._keys]
        self._compiled: list[Bucket | None] = [_buckets.get(keys) for keys in self._keys]
        self._parts = self._read()
        self._packs: list[tuple[Sequence[int], Together]] = []
        self._unpacked: list[list[int]] | None = None  # None: not everything is compiled

    def _read(self) -> Parts:
        """Put together what all that is compiled reads, so that it is converted once."""
        return frozenset[tuple[str, str, str]]().union(*(b.parts for b in self._compiled if b is not None))

    def _prepare(self) -> None:
        """Compile a bucket, or put some together."""
        if None in self._compiled:
            at = self._compiled.index(None)
            keys = self._keys[at]
            self._compiled[at] = _known(_buckets, keys, lambda: Bucket(keys))
            self._parts = self._read()
        elif self._unpacked is None:
            sizes = [bucket.batch.size for bucket in self._compiled if bucket is not None]
            self._unpacked = [pack for pack in packs(sizes) if len(pack) > 1]
        elif self._unpacked:
            pack = self._unpacked.pop()
            batches = [bucket.batch for at in pack if (bucket := self._compiled[at]) is not None]
            keys_of_all = tuple([self._keys[at] for at in pack])
            self._packs.append((pack, _known(_together, keys_of_all, lambda: Together(batches))))

    def candidates(self, values: Values) -> list[G]:
        """List whose conditions are not certainly false."""
        self._prepare()
        found, is_false = list(self._always), set[int]()
        for pack, together in self._packs:
            if together.is_false(values.reading(self._parts)):
                is_false.update(pack)
        for at, (bucket, groups) in enumerate(zip(self._compiled, self._groups, strict=True)):
            chosen: Sequence[int] = range(len(groups))
            if bucket is not None:
                chosen = bucket.left if at in is_false else bucket.undecided(values, self._parts)
            for number in chosen:
                found += groups[number]
        return found


def packs(sizes: Sequence[int]) -> list[list[int]]:
    """Put things of sizes together, by their places, so that each pack stays small. Pure."""
    found: list[list[int]] = []
    room = 0
    for at, size in enumerate(sizes):
        if not found or size > room:
            found.append([])
            room = _SMALL
        found[-1].append(at)
        room -= size
    return found


K = TypeVar("K")
V = TypeVar("V")


def _known(memory: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """Give what was made before, for another kind of request perhaps, or make it."""
    found = memory.get(key)
    if found is None:
        found = memory[key] = make()
        if len(memory) > _KEPT:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return found


def _programs(scope: Scope, sources: Sequence[str]) -> tuple[list[Program], Parts] | None:
    """Compile conditions; None if they must be evaluated alone."""
    programs, parts = list[Program](), set[tuple[str, str, str]]()
    for source in sources:
        program = expressions.compiled(scope, source, BOOL)
        read = None if isinstance(program, str) or program.composed else reads.parts(program)
        if read is None:
            return None
        assert not isinstance(program, str)
        programs.append(program)
        parts |= read
    return programs, frozenset(parts)
