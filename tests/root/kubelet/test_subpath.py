"""A volume's content races with the kubelet over a sub-path: CVE-2017-1002101, CVE-2021-25741."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

# In a mount namespace of its own: binds a sub-path while a component flips between directory and link. It is
# held still for one bind in ten, as turns on a busy machine may be such that no bind of the others succeeds.
_SCRIPT = """
import ctypes, os, sys, threading
from pathlib import Path
from nanokube.kubelet.volumes import subpath
from nanokube.kubelet.volumes.errors import VolumeFault
from cri.linux import mount
mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
volume, secret, place = (Path(word) for word in sys.argv[1:4])
libc, stop, hold, still = ctypes.CDLL(None), threading.Event(), threading.Event(), threading.Barrier(2)
names = os.fsencode(volume / "dir"), os.fsencode(volume / "link")
def flip():
    while not stop.is_set():
        for _ in range(2):  # the directory is in its place again
            libc.renameat2(-100, names[0], -100, names[1], 2)
        if hold.is_set():
            hold.clear()
            still.wait()
            still.wait()
flipper = threading.Thread(target=flip)
flipper.start()
bound = 0
try:
    for number in range(300):
        target, held = place / str(number), number % 10 == 0
        if held:
            hold.set()
            still.wait()
        try:
            subpath.bind(volume, sys.argv[4], target)
        except (VolumeFault, OSError):
            if held:
                raise
            continue
        finally:
            if held:
                still.wait()
        bound += 1
        assert not (target / "key").exists() and target.stat().st_ino != secret.stat().st_ino
        mount.umount(str(target), mount.MNT_DETACH)
finally:
    stop.set()
    still.abort()
    flipper.join()
assert sorted(os.listdir(secret)) == ["key", "sub"], os.listdir(secret)
print(bound)
"""


@pytest.mark.parametrize("path", ["dir", "dir/sub", "dir/made/here"])
def test_a_sub_path_never_leads_out_of_its_volume(tmp_path: Path, path: str) -> None:
    volume, secret, place = (tmp_path / name for name in ("volume", "secret", "place"))
    for directory in (volume / "dir" / "sub", secret / "sub", place):
        directory.mkdir(parents=True)
    (secret / "key").write_text("x")
    (volume / "link").symlink_to("../" * 20 + str(secret).lstrip("/"))
    command = [
        "unshare",
        "--mount",
        sys.executable,
        "-c",
        _SCRIPT,
        str(volume),
        str(secret),
        str(place),
        path,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 30


# In a mount namespace of its own: a ConfigMap's content changes as the kubelet writes it, by a rename.
_UPDATE = """
import os, sys
from pathlib import Path
from cri.linux import mount
from nanokube.kubelet.volumes.mounter import LinuxMounter
mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
volume, place = (Path(word) for word in sys.argv[1:3])
mounter = LinuxMounter()
def write(number):
    (volume / f"..{number}").mkdir()
    (volume / f"..{number}" / "key").write_text(number)
    (volume / "..new").symlink_to(f"..{number}")
    os.rename(volume / "..new", volume / "..data")
def seen():
    mounter.bind_sub_path(volume, "key", place)
    assert mounter.mounts_below(place) == [place]
    return place.read_text()
(volume / "key").symlink_to("..data/key")
write("1")
assert (seen(), seen()) == ("1", "1")
write("2")
(volume / "..1" / "key").unlink()
assert place.read_text() == "1"
assert (seen(), seen()) == ("2", "2")
(volume / "key").unlink()
assert seen() == "2"
"""


def test_a_restarted_container_gets_what_its_sub_path_is_now(tmp_path: Path) -> None:
    places = tmp_path / "volume", tmp_path / "place"
    places[0].mkdir()
    command = ["unshare", "--mount", sys.executable, "-c", _UPDATE, *map(str, places)]
    subprocess.run(command, check=True, timeout=30)
