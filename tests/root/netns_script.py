"""Runs a Python script in a network namespace of its own."""

import subprocess
import sys


def run(script: str) -> None:
    """Run it; it must succeed within a minute."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
