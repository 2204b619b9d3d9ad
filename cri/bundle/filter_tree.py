"""Seccomp programs rewritten as balanced trees over ranges of system call numbers. Pure.

libseccomp tests each number by itself, for each architecture, though neighbours are mostly treated alike.
What a program does is read off it, not off the profile: it is followed with architecture and number as
ranges, split where it compares them, up to its verdict or to the first argument that it loads. From there on
it is kept as it is. So libseccomp remains the judge of what a profile means. A program that does anything
else is left alone.
Source: seccomp(2); include/uapi/linux/{bpf_common,seccomp}.h.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LOAD, _RETURN, _JUMP, _IS_EQUAL, _IS_ABOVE, _IS_AT_LEAST = 0x20, 0x06, 0x05, 0x15, 0x25, 0x35
_CLASS, _CLASS_JUMP, _CLASS_RETURN = 7, 5, 6
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_TOP = (1 << 32) - 1
_REACH = 255  # how far a conditional jump goes
_NEAR = 120  # beyond this a leaf is written again, as more will stand between it and who jumps to it
_BOXES_MAX = 20_000
_INSTRUCTION = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    yes: int
    no: int
    k: int


class Leaf(NamedTuple):
    """A verdict, or the instruction of the old program where arguments begin to count."""

    is_verdict: bool
    value: int


class Segment(NamedTuple):
    """Values from low to the next segment."""

    low: int
    leaf: Leaf


class _Box(NamedTuple):
    architecture: tuple[int, int]
    number: tuple[int, int]


class _Unknown(Exception):
    """The program is not of the kind that can be rewritten."""


def compact(program: bytes) -> bytes:
    """Write a shorter program that answers the same; the same program if there is none.

    program: struct sock_filter array, as libseccomp exports it, valid for the kernel.
    """
    old = [Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(program)]
    try:
        new = _write(old, _tables(_boxes(old)))
    except _Unknown:
        return program
    return b"".join([_INSTRUCTION.pack(*each) for each in new]) if len(new) < len(old) else program


def _boxes(program: Sequence[Instruction]) -> Iterator[tuple[_Box, Leaf]]:
    """Follow every path up to its leaf, with the architectures and numbers that take it."""
    todo = [(0, -1, _Box((0, _TOP), (0, _TOP)))]  # where, offset of what was loaded, who is here
    for _ in range(_BOXES_MAX):
        if not todo:
            return
        at, loaded, box = todo.pop()
        code, yes, no, k = program[at]
        if code == _LOAD and k in (_NUMBER, _ARCHITECTURE):
            todo.append((at + 1, k, box))
        elif code == _LOAD:
            yield box, Leaf(False, at)
        elif code == _RETURN:
            yield box, Leaf(True, k)
        elif code == _JUMP:
            todo.append((at + 1 + k, loaded, box))
        elif code in (_IS_EQUAL, _IS_ABOVE, _IS_AT_LEAST) and loaded >= 0:
            for low, high, is_true in _split(code, k):
                if part := _cut(box, loaded, low, high):
                    todo.append((at + 1 + (yes if is_true else no), loaded, part))
        else:
            raise _Unknown
    raise _Unknown


def _split(code: int, k: int) -> list[tuple[int, int, bool]]:
    """The ranges of values that a comparison tells apart, and what it says of each."""
    if code == _IS_EQUAL:
        return [(0, k - 1, False), (k, k, True), (k + 1, _TOP, False)]
    first = k + 1 if code == _IS_ABOVE else k
    return [(0, first - 1, False), (first, _TOP, True)]


def _cut(box: _Box, loaded: int, low: int, high: int) -> _Box | None:
    begin, end = box.number if loaded == _NUMBER else box.architecture
    part = max(begin, low), min(end, high)
    if part[0] > part[1]:
        return None
    return box._replace(number=part) if loaded == _NUMBER else box._replace(architecture=part)


def _tables(boxes: Iterator[tuple[_Box, Leaf]]) -> list[tuple[int, tuple[Segment, ...]]]:
    """The segments of each range of architectures, which are given by where they begin. Raises _Unknown."""
    by_range: dict[tuple[int, int], list[tuple[int, Leaf]]] = {}
    for box, leaf in boxes:
        by_range.setdefault(box.architecture, []).append((box.number[0], leaf))
    tables: list[tuple[int, tuple[Segment, ...]]] = []
    expected = 0
    for low, high in sorted(by_range):
        if low != expected:  # numbers were looked at before architectures
            raise _Unknown
        expected = high + 1
        segments: list[Segment] = []
        for begin, leaf in sorted(by_range[low, high]):
            if not segments or segments[-1].leaf != leaf:
                segments.append(Segment(begin, leaf))
        if not tables or tables[-1][1] != tuple(segments):
            tables.append((low, tuple(segments)))
    return tables


def _write(
    old: Sequence[Instruction], tables: Sequence[tuple[int, tuple[Segment, ...]]]
) -> list[Instruction]:
    writer = _Writer()
    writer.copy(old, {each.leaf.value for _, table in tables for each in table if not each.leaf.is_verdict})
    roots: dict[tuple[Segment, ...], Leaf] = {}
    choices = []
    for number, (low, table) in enumerate(tables):
        if len(table) == 1:
            roots[table] = table[0].leaf
        elif table not in roots:
            writer.fall_to(writer.tree(table))
            writer.add(_LOAD, k=_NUMBER)
            roots[table] = Leaf(False, -1 - number)  # no instruction of the old program
            writer.places[roots[table]] = writer.last
        choices.append(Segment(low, roots[table]))
    writer.fall_to(writer.tree(choices))
    writer.add(_LOAD, k=_ARCHITECTURE)
    return writer.reversed[::-1]


class _Writer:
    """A program from its end to its beginning, as jumps go forward only. Places count from the end."""

    def __init__(self) -> None:
        self.reversed: list[Instruction] = []
        self.places: dict[Leaf, int] = {}  # the nearest

    @property
    def last(self) -> int:
        return len(self.reversed) - 1

    def add(self, code: int, yes: int = 0, no: int = 0, k: int = 0) -> int:
        """Write the instruction before all others; its place."""
        self.reversed.append(Instruction(code, yes, no, k))
        return self.last

    def fall_to(self, place: int) -> None:
        """Let what is written next be followed by what stands at a place."""
        if place != self.last:
            self.add(_JUMP, k=self.last - place)

    def copy(self, old: Sequence[Instruction], starts: set[int]) -> None:
        """Take over what can be reached from these instructions, in its order: no jump becomes longer."""
        places: dict[int, int] = {}
        for at in sorted(_reachable(old, starts), reverse=True):
            code, yes, no, k = old[at]
            here = len(self.reversed)
            if code == _JUMP:
                k = here - places[at + 1 + k] - 1
            elif code & _CLASS == _CLASS_JUMP:
                yes, no = (here - places[at + 1 + skipped] - 1 for skipped in (yes, no))
            places[at] = self.add(code, yes, no, k)
        self.places.update({Leaf(False, at): places[at] for at in starts})

    def tree(self, segments: Sequence[Segment]) -> int:
        """Write the search for a value's segment; the place of its root."""
        if len(segments) == 1:
            return self._leaf(segments[0].leaf)
        if len(segments) == 3 and segments[0].leaf == segments[2].leaf:
            value = segments[1].low
            if segments[2].low == value + 1:
                places = [self._leaf(each.leaf) for each in segments[:2]]
                return self._branch(_IS_EQUAL, value, places[1], places[0])
        middle = len(segments) // 2
        above = self.tree(segments[middle:])
        below = self.tree(segments[:middle])
        return self._branch(_IS_AT_LEAST, segments[middle].low, above, below)

    def _leaf(self, leaf: Leaf) -> int:
        place = self.places.get(leaf)
        if place is None or self.last - place > _NEAR:
            if leaf.is_verdict:
                place = self.add(_RETURN, k=leaf.value)
            else:
                place = self.add(_JUMP, k=self.last - self.places[leaf])
            self.places[leaf] = place
        return place

    def _branch(self, code: int, k: int, yes: int, no: int) -> int:
        near = []
        for place in (yes, no):
            if self.last + 1 - place > _REACH:  # one less than can be, as the other may move us by one
                place = self.add(_JUMP, k=self.last - place)
            near.append(place)
        return self.add(code, self.last - near[0], self.last - near[1], k)


def _reachable(program: Sequence[Instruction], starts: set[int]) -> set[int]:
    found: set[int] = set()
    todo = list(starts)
    while todo:
        at = todo.pop()
        if at in found:
            continue
        found.add(at)
        code, yes, no, k = program[at]
        if code == _JUMP:
            todo.append(at + 1 + k)
        elif code & _CLASS == _CLASS_JUMP:
            todo += [at + 1 + yes, at + 1 + no]
        elif code & _CLASS != _CLASS_RETURN:
            todo.append(at + 1)
    return found
