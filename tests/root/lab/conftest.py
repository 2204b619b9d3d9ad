"""Labs for tests, below a folder of their own; ended in any case."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nanokube.lab import cluster, control, place


@contextlib.contextmanager
def lab(
    home: Path,
    *,
    servers: int,
    workers: int,
    bare: bool = False,
    ip_family: str = "ipv4",
    options: Sequence[str] = (),
) -> Iterator[place.Lab]:
    """Make a lab; tell what its nodes logged when a test fails, and end it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(place.HOME_VARIABLE, str(home))
        name = f"t{uuid.uuid4().hex[:6]}"
        planned = place.plan(name, home / name, servers, workers, place.SUBNETS[ip_family])
        try:
            made = control.create(planned)
            if not bare:
                cluster.bring_up(made, print, options)
            yield control.refreshed(made)
        except BaseException:
            with contextlib.suppress(place.LabError):
                print(logs(control.refreshed(planned)))
            raise
        finally:
            control.destroy(name)


def logs(of: place.Lab) -> str:
    """Return the ends of the logs of all nodes that are on."""
    ends = []
    for node in of.nodes:
        if node.pid:
            command = ["sh", "-c", "tail -n 40 /var/log/nanokube/*.log"]
            ends.append(f"===== {node.name}\n{control.run(of, node.name, command, check=False).stdout}")
    return "\n".join(ends)
