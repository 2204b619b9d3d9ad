"""The supervisor's rehearsal: it is gone to the end, and leaves the process as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

_PROGRAM = """
import logging, os, sys
from cri.cgroup import hierarchy
from cri.runtime import rehearsal

def look():
    kinds = ("Cap", "Uid", "Gid", "Groups", "Umask")
    words = [line for line in open("/proc/self/status") if line.startswith(kinds)]
    links = [os.readlink(f"/proc/self/{name}") for name in ("cwd", "root", "ns/mnt")]
    score = open("/proc/self/oom_score_adj").read()
    return words, links, score, sorted(os.listdir("/proc/self/fd")), open("/proc/self/mountinfo").read()

logging.basicConfig(level=logging.INFO)
os.chdir(sys.argv[1])
before = look()
rehearsal.rehearse(sys.argv[1], hierarchy.detect())
for old, new in zip(before, look(), strict=True):
    assert new == old, (old, new)
assert os.listdir(".") == []
"""


def test_a_rehearsal_ends_where_it_began(tmp_path: Path) -> None:
    command = ["unshare", "--mount", sys.executable, "-c", _PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
