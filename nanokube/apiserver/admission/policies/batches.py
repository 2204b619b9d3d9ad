"""Match conditions that must be evaluated, evaluated together: those that are false cost next to nothing.

Conditions go to a bucket by what they say, so that a change of one policy is a change of one bucket, and a
bucket that was compiled before is found again. A request compiles one at most; what is in others is left to
be evaluated one by one until then, as is always what asks for authorization.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

from nanokube.api.cel import admission as expressions
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.batch import Batch
from nanokube.api.cel.environment import Program
from nanokube.apiserver.admission.matching import reads
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.matching.reads import Parts
from nanokube.apiserver.admission.matching.values import BOOL, Values

SIZE: Final = 128  # conditions of a bucket: compiling them takes some 10 ms, asking them some 10 us
FEW: Final = 4  # below, one by one is as good
_KEPT: Final = 512  # buckets

G = TypeVar("G")
Key = tuple[Scope, tuple[str, ...]]


class Bucket:
    """What was compiled of some conditions. parts: what they read."""

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
        self._batch = Batch(members)
        self.parts: Parts = frozenset(parts)

    def undecided(self, values: Values, parts: Parts) -> list[int]:
        """List which are not certainly false. parts: what to bind, at least what is read here."""
        if not self._numbers:
            return self._others
        found = self._batch.undecided(values.reading(parts))
        return [*self._others, *[self._numbers[member] for member in found]]


_buckets: OrderedDict[tuple[Key, ...], Bucket] = OrderedDict()


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

    def _read(self) -> Parts:
        """Put together what all that is compiled reads, so that it is converted once."""
        return frozenset[tuple[str, str, str]]().union(*(b.parts for b in self._compiled if b is not None))

    def candidates(self, values: Values) -> list[G]:
        """List whose conditions are not certainly false."""
        if None in self._compiled:
            at = self._compiled.index(None)
            self._compiled[at] = _compile(self._keys[at])
            self._parts = self._read()
        found = list(self._always)
        for bucket, groups in zip(self._compiled, self._groups, strict=True):
            chosen = range(len(groups)) if bucket is None else bucket.undecided(values, self._parts)
            for number in chosen:
                found += groups[number]
        return found


def _compile(keys: tuple[Key, ...]) -> Bucket:
    """Give what was compiled before, for another kind of request perhaps, or compile it."""
    found = _buckets.get(keys)
    if found is None:
        found = _buckets[keys] = Bucket(keys)
        if len(_buckets) > _KEPT:
            _buckets.popitem(last=False)
    _buckets.move_to_end(keys)
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
