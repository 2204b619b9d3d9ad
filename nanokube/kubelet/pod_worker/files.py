"""What a Pod has on the host's disk beside its volumes: log directories, termination messages. Blocks."""

import contextlib
import os
import shutil


def make_directory(path: str) -> None:
    """Make a directory that everyone may read, and those above it."""
    os.makedirs(path, mode=0o755, exist_ok=True)


def remove_tree(path: str) -> None:
    """Remove a directory with what is in it, as far as possible."""
    shutil.rmtree(path, ignore_errors=True)


def unlink(path: str) -> None:
    """Remove a file, if there is one of that name; "" names none."""
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)
