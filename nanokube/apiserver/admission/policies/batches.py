"""Match conditions that must be evaluated, evaluated together: those that are false cost next to nothing.

Most have a form that needs no runtime (`screen`); the others are evaluated together by it (`batch`), but for
those that ask for authorization.

Conditions go to a bucket by what they say, so that a change of one policy is a change of one bucket, and a
bucket that was compiled before is found again. In the end those buckets are put together that became small,
because their conditions are alike.

What the runtime said of conditions that read the same is remembered by what they read (`memory`).
"""

from __future__ import annotations

import functools
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from nanokube.api.cel import admission as expressions
from nanokube.api.cel import inputs, merge, screen, writer
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.batch import Batch, Together
from nanokube.api.cel.environment import Program
from nanokube.api.cel.inputs import Reads
from nanokube.api.cel.screen import Screen
from nanokube.api.steps import Steps
from nanokube.apiserver.admission.matching import reads
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.matching.reads import Parts
from nanokube.apiserver.admission.matching.values import BOOL, Values
from nanokube.apiserver.admission.policies.memory import Memory

SIZE: Final = 64  # conditions of a bucket: putting them together takes some 10 ms
FEW: Final = 4  # below, the runtime had better be asked one by one
ALIKE: Final = 8  # that read the same, from which on answers are remembered
_FEW_LEFT: Final = 16  # that are not false: more are not remembered
_SMALL: Final = 400  # nodes of what the runtime is given at once
_SMALL_SCREENS: Final = 2000  # nodes of what is written as one function: takes some 10 ms
_KEPT: Final = 512  # buckets

G = TypeVar("G")
K = TypeVar("K")
V = TypeVar("V")
Key = tuple[Scope, tuple[str, ...]]
IsFalse = Callable[[screen.Root], bool]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Conditions. programs None: they must be evaluated alone. parts: what they read.

    reads: exactly, of those that the runtime must be asked about.
    """

    programs: Sequence[Program] | None
    parts: Parts
    is_screened: bool
    reads: Reads | None = None


@dataclass(slots=True)
class Bucket:
    """What was compiled of some conditions, by their numbers. left: those that are always undecided."""

    screen: Screen | None = None
    batch: Batch | None = None
    screened: list[int] = field(default_factory=list)
    batched: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    parts: Parts = frozenset()

    def undecided(self, values: Values, parts: Parts, *, is_screened: bool, is_false: bool) -> list[int]:
        """List which are not certainly false.

        parts: what to bind, at least what is read here.
        is_screened, is_false: whether what is in the screen, in the batch, is known to be false.
        """
        found = list(self.left)
        if self.screen is not None and not is_screened:
            found += [self.screened[member] for member in self.screen.undecided(values.plain)]
        if self.batch is not None:
            left = self.batch.alone if is_false else self.batch.undecided(values.reading(parts))
            found += [self.batched[member] for member in left]
        return found


_buckets: OrderedDict[tuple[Key, ...], Bucket] = OrderedDict()
_together: OrderedDict[tuple[tuple[Key, ...], ...], Together] = OrderedDict()
_screens: OrderedDict[tuple[tuple[Key, ...], ...], IsFalse | None] = OrderedDict()


class Batches(Generic[G]):
    """entries: conditions, and who is asked if they hold."""

    def __init__(self, entries: Iterable[tuple[Conditions, G]]) -> None:
        self._groups: dict[Key, list[G]] = {}
        for conditions, group in entries:
            self._groups.setdefault((conditions.scope, conditions.sources), []).append(group)
        self._parts: list[_Part[G]] = []

    def prepare(self) -> Steps[None]:
        """Compile everything, before it is asked."""
        kinds: dict[Reads | None, list[Key]] = {}
        for key in sorted(self._groups, key=lambda key: (key[1], key[0].has_params)):
            kinds.setdefault(_compiled(*key).reads, []).append(key)
            yield
        others = kinds.pop(None, [])
        for exactly, keys in kinds.items():
            if len(keys) < ALIKE:
                others += keys
            else:
                yield from self._add(keys, exactly)
        if others:
            yield from self._add(others, None)

    def _add(self, keys: Sequence[Key], reads: Reads | None) -> Steps[None]:
        part = _Part[G](keys, [self._groups[key] for key in keys], reads)
        yield from part.prepare(is_few=len(self._groups) < FEW)
        self._parts.append(part)

    def candidates(self, values: Values) -> list[G]:
        """List whose conditions are not certainly false."""
        found: list[G] = []
        for part in self._parts:
            found += part.candidates(values)
        return found


class _Part(Generic[G]):
    """Some of the conditions. reads: what each of them reads, if answers are to be remembered."""

    def __init__(self, keys: Sequence[Key], groups: Sequence[Sequence[G]], reads: Reads | None) -> None:
        count = 1 << max(0, (len(keys) - 1) // SIZE).bit_length()
        found: dict[int, list[int]] = {}
        for at, key in enumerate(keys):
            found.setdefault(zlib.crc32("\n".join(key[1]).encode()) % count, []).append(at)
        self._keys = [tuple([keys[at] for at in bucket]) for bucket in found.values()]
        self._groups = [[groups[at] for at in bucket] for bucket in found.values()]
        self._memory = None if reads is None else Memory[Sequence[G]](reads)
        self._buckets: list[Bucket] = []
        self._parts: Parts = frozenset()
        self._screens: list[tuple[Sequence[int], IsFalse]] = []
        self._packs: list[tuple[Sequence[int], Together]] = []
        self._in_screens, self._in_packs = frozenset[int](), frozenset[int]()
        self._others: Sequence[int] = ()  # the buckets of which there is more

    def prepare(self, *, is_few: bool) -> Steps[None]:
        """Compile everything, before it is asked."""
        for keys in self._keys:
            known = _known(_buckets, keys)
            if known is None:
                known = yield from _bucket(keys, is_few=is_few)
                _keep(_buckets, keys, known)
            self._buckets.append(known)
            yield
        # put together, so that it is converted once
        self._parts = frozenset[tuple[str, str, str]]().union(*(b.parts for b in self._buckets))
        for pack in packs([b.screen.size if b.screen else 0 for b in self._buckets], _SMALL_SCREENS):
            yield from self._put_screens(pack)
            yield
        for pack in packs([b.batch.size if b.batch else 0 for b in self._buckets], _SMALL):
            yield from self._put_batches(pack)
            yield
        self._in_screens = frozenset(at for pack, _ in self._screens for at in pack)
        self._in_packs = frozenset(at for pack, _ in self._packs for at in pack)
        self._others = [at for at, bucket in enumerate(self._buckets) if self._is_open(at, bucket)]

    def _is_open(self, at: int, bucket: Bucket) -> bool:
        """Tell whether there is more to ask about a bucket than what is put together with others'."""
        if bucket.left or (bucket.screen is not None and at not in self._in_screens):
            return True
        return bucket.batch is not None and (at not in self._in_packs or bool(bucket.batch.alone))

    def _put_screens(self, pack: Sequence[int]) -> Steps[None]:
        found = [screen for at in pack if (screen := self._buckets[at].screen) is not None]
        if len(found) < 2:
            return
        keys = tuple([self._keys[at] for at in pack])
        if keys not in _screens:
            _keep(_screens, keys, (yield from _whole(found)))
        known = _known(_screens, keys)
        if known is not None:
            self._screens.append((pack, known))

    def _put_batches(self, pack: Sequence[int]) -> Steps[None]:
        found = [batch for at in pack if (batch := self._buckets[at].batch) is not None]
        if len(found) < 2:
            return
        keys = tuple([self._keys[at] for at in pack])
        known = _known(_together, keys)
        if known is None:
            known = yield from Together.made(found)
            _keep(_together, keys, known)
        self._packs.append((pack, known))

    def candidates(self, values: Values) -> Sequence[G]:
        """List whose conditions are not certainly false."""
        if self._memory is None:
            return self._ask(values)
        missed: list[Sequence[G]] = []

        def ask() -> Sequence[G] | None:
            found = self._ask(values)
            missed.append(found)
            return found if len(found) <= _FEW_LEFT else None  # they are evaluated alone, at each write

        found = self._memory.answer(values.plain, ask)
        return found if found is not None else missed[0]

    def _ask(self, values: Values) -> Sequence[G]:
        true_screens = [pack for pack, is_none in self._screens if not is_none(values.plain)]
        true_packs = [
            pack for pack, together in self._packs if not together.is_false(values.reading(self._parts))
        ]
        if not true_screens and not true_packs:  # nearly always
            screened, is_false, at_all = self._in_screens, self._in_packs, self._others
        else:
            screened = self._in_screens.difference(*true_screens)
            is_false = self._in_packs.difference(*true_packs)
            at_all = range(len(self._buckets))
        found: list[G] = []
        for at in at_all:
            left = self._buckets[at].undecided(
                values, self._parts, is_screened=at in screened, is_false=at in is_false
            )
            for number in left:
                found += self._groups[at][number]
        return found


def packs(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Put things of sizes together, by their places, so that each pack stays small. Pure."""
    found: list[list[int]] = []
    room = 0
    for at, size in enumerate(sizes):
        if not found or size > room:
            found.append([])
            room = most
        found[-1].append(at)
        room -= size
    return found


def _bucket(keys: Sequence[Key], *, is_few: bool) -> Steps[Bucket]:
    """Compile conditions. is_few: the runtime is asked one by one."""
    screened, batched = list[Sequence[Program]](), list[Sequence[Program]]()
    made = Bucket()
    for number, key in enumerate(keys):
        compiled = _compiled(*key)
        if compiled.programs is None or (is_few and not compiled.is_screened):
            made.left.append(number)
        elif compiled.is_screened:
            made.screened.append(number)
            screened.append(compiled.programs)
        else:
            made.batched.append(number)
            batched.append(compiled.programs)
            made.parts |= compiled.parts
        yield
    if screened:
        made.screen = Screen(screened)
        yield
    if batched:
        made.batch = yield from Batch.made(batched)
    return made


def _whole(screens: Sequence[Screen]) -> Steps[IsFalse | None]:
    """Write one function of several; None if that cannot be."""
    tree = merge.any_of([each.tree for each in screens])
    yield
    try:
        return (yield from screen.writing(tree))
    except writer.Unknown:
        return None


def _known(memory: OrderedDict[K, V], key: K) -> V | None:
    """Give what was made before, for another kind of request perhaps."""
    found = memory.get(key)
    if found is not None:
        memory.move_to_end(key)
    return found


def _keep(memory: OrderedDict[K, V], key: K, made: V) -> None:
    memory[key] = made
    if len(memory) > _KEPT:
        memory.popitem(last=False)


@functools.lru_cache(maxsize=8192)
def _compiled(scope: Scope, sources: tuple[str, ...]) -> Compiled:
    programs, parts = list[Program](), set[tuple[str, str, str]]()
    for source in sources:
        program = expressions.compiled(scope, source, BOOL)
        read = None if isinstance(program, str) or program.composed else reads.parts(program)
        if read is None:
            return Compiled(None, frozenset(), is_screened=False)
        assert not isinstance(program, str)
        programs.append(program)
        parts |= read
    is_screened = screen.can_take(programs)
    exactly = None if is_screened else inputs.of([program.tree for program in programs])
    return Compiled(programs, frozenset(parts), is_screened, exactly)
