"""Progress of a verb: each phase on a line of its own, with a live clock on a terminal."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Show that a phase runs, then how long it took; a phase that fails says so and raises on."""
    console = Console(highlight=False)
    began = time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    # The clock appears on a terminal only; a log gets the finished line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(f"{name:<28}")
        try:
            yield
        except BaseException:
            mark, colour = "failed", "red"
            raise
        else:
            mark, colour = "ok    ", "green"
        finally:
            progress.stop()
            console.print(f"[{colour}]{mark}[/] {name:<28} {time.monotonic() - began:5.2f} s")
