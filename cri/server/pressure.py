"""How long the processes of a cgroup waited for the CPU, for memory, for I/O. Parsing is pure.

The v2 tree has the files whatever controllers it has, thus also on a hybrid host.
Source: Documentation/accounting/psi.rst; CRI PsiStats (nanoseconds).
"""

import dataclasses

from cri.cgroup.group import Group, read


@dataclasses.dataclass(frozen=True, slots=True)
class Stall:
    """total_ns since the cgroup was made; averages in percent of the last 10, 60 and 300 seconds."""

    total_ns: int = 0
    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Pressure:
    """some: at least one process waited; full: all that were not idle did."""

    some: Stall = Stall()
    full: Stall = Stall()


@dataclasses.dataclass(frozen=True, slots=True)
class Pressures:
    """Each None where the kernel does not tell it."""

    cpu: Pressure | None = None
    memory: Pressure | None = None
    io: Pressure | None = None


UNTOLD = Pressures()


def collect(group: Group) -> Pressures:
    """Read a cgroup's three files; a kernel without them tells nothing."""
    if not group.unified:
        return UNTOLD
    return Pressures(
        *(parse(_content(f"{group.unified}/{name}.pressure")) for name in ("cpu", "memory", "io"))
    )


def parse(text: str) -> Pressure | None:
    """Read one file: `some avg10=0.12 avg60=0.00 avg300=0.00 total=123` (microseconds), then `full`."""
    found = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        values = dict(field.partition("=")[::2] for field in fields)
        found[kind] = Stall(
            int(values["total"]) * 1000, *(float(values[name]) for name in ("avg10", "avg60", "avg300"))
        )
    return Pressure(found.get("some", Stall()), found.get("full", Stall())) if found else None


def _content(path: str) -> str:
    try:
        return read(path)
    except OSError:  # EOPNOTSUPP where the kernel was told psi=0
        return ""
