"""The host's logs, and what somebody may have put among them."""

import os
from pathlib import Path

import pytest

from nanokube.kit.http.message import Response, StreamResponse
from nanokube.kubelet.server import host_logs
from nanokube.kubelet.server.host import HostError


class Taken:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        pass


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    place = tmp_path / "log"
    (place / "pods").mkdir(parents=True)
    (place / "syslog").write_bytes(b"line\n" * 30_000)
    (place / "<b>").touch()
    (place / "newest").symlink_to("syslog")
    (tmp_path / "shadow").write_text("secret")
    (place / "out").symlink_to("../shadow")
    (place / "absolute").symlink_to(tmp_path / "shadow")
    os.mkfifo(place / "fifo")
    return place


async def test_a_directory_is_a_list_of_links(logs: Path) -> None:
    answer = await host_logs.show("", logs)
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    lines = answer.body.decode().splitlines()
    assert '<a href="./pods/">pods/</a>' in lines
    assert '<a href="./%3Cb%3E">&lt;b&gt;</a>' in lines


@pytest.mark.parametrize("name", ["syslog", "newest"])
async def test_a_file_is_streamed(logs: Path, name: str) -> None:
    answer = await host_logs.show(name, logs)
    assert isinstance(answer, StreamResponse)
    taken = Taken()
    await answer.run(taken)  # type: ignore[arg-type]
    assert taken.data == b"line\n" * 30_000


@pytest.mark.parametrize(
    "path", ["none", "out", "absolute", "fifo", "../shadow", "pods/../../shadow", "a\x00b"]
)
async def test_nothing_from_elsewhere(logs: Path, path: str) -> None:
    with pytest.raises(HostError) as caught:
        await host_logs.show(path, logs)
    assert caught.value.status == 404
