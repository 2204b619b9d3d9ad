"""The keeper's notes of exits survive a supervisor that clears away what it does not know."""

import contextlib
import os
import threading
import types
from pathlib import Path
from typing import Any, cast

from cri.runtime.keeper import Keeper


def test_a_sweep_of_the_notes_never_takes_one_half_written(tmp_path: Path) -> None:
    notes = tmp_path / "exits"
    notes.mkdir()
    keeper = Keeper(str(tmp_path), [])
    stop = threading.Event()

    def sweep() -> None:  # as adoption does, in another process
        while not stop.is_set():
            for name in os.listdir(notes):
                if not name.isdigit():
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(notes / name)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(300):
            ended = types.SimpleNamespace(si_pid=os.getpid(), si_status=3, si_code=os.CLD_EXITED)
            keeper._record_exit(cast(Any, ended))
    finally:
        stop.set()
        sweeper.join()
        for end in (keeper._wake, keeper._woken):
            end.close()
    assert (notes / str(os.getpid())).read_text().split()[0] == str(3 << 8)
