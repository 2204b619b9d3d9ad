"""A registry on loopback with one image of one layer: 40 MB of gzip, unpacked about 100 MB in 2,500 files.

An image of a distribution with an interpreter has about this shape: one was 45 MB, 143 MB and 7,849 files.
Some of it is random bytes, which do not compress; the rest is words.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import random
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOST = "bench.example"
LAYER_BYTES = 43_500_000  # aimed at; files vary a little
_OCI = "application/vnd.oci.image"
_RANDOM_FILE, _RANDOM_FILES = 160_000, 50  # what does not compress: 8 MB
_TEXT_FILE = 40_000


@dataclasses.dataclass
class Served:
    """What the registry has, by digest, its images by tag, and how many bytes of it were sent."""

    types: dict[str, str]
    blobs: dict[str, bytes]
    manifests: dict[str, str]
    sent_bytes: int = 0

    def add(self, blob: bytes, kind: str) -> dict[str, object]:
        """Take in a blob and return its descriptor."""
        digest = _digest(blob)
        self.blobs[digest], self.types[digest] = blob, kind
        return {"mediaType": kind, "digest": digest, "size": len(blob)}

    def image(self, number: int) -> str:
        """Return the reference of one of its images; no two share anything."""
        return f"{HOST}/layer:{number}"


@contextlib.contextmanager
def serving(certs: Path, count: int) -> Iterator[Served]:
    """Serve so many images until the block ends; certs gets the hosts.toml that leads to them."""
    served = images(count)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"served": served}))
    directory = certs / HOST
    directory.mkdir()
    url = f"http://127.0.0.1:{server.server_port}"
    hosts = f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'
    (directory / "hosts.toml").write_text(hosts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: Served

    def do_GET(self) -> None:
        digest = self.path.partition("?")[0].rpartition("/")[2]
        digest = self.served.manifests.get(digest, digest)
        blob = self.served.blobs.get(digest)
        if blob is None:
            self.send_error(404)
            return
        first, last = _range(self.headers.get("Range", ""), len(blob))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Type", self.served.types[digest])
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Docker-Content-Digest", digest)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(blob)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(memoryview(blob)[first : last + 1])
            self.served.sent_bytes += last + 1 - first

    do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _range(header: str, size: int) -> tuple[int, int]:
    """Read `bytes=first-last`; the whole where there is none."""
    first, _, last = header.removeprefix("bytes=").partition("-")
    return int(first or 0), min(int(last or size - 1), size - 1)


def images(count: int) -> Served:
    """Make images of a configuration and a layer each.

    Their layers differ by one small file in front, so that each is new to every runtime and none has to be
    removed before the next: ext4 is slow to reuse inodes that were just freed.
    """
    served = Served({}, {}, {})
    plain = _tar()
    body = gzip.compress(plain, 6, mtime=0)
    for number in range(count):
        front = _member(f"number-{number}")
        layer = gzip.compress(front, 6, mtime=0) + body  # RFC 1952 2.2: members follow one another
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(front + plain)]},
            }
        ).encode()
        described = [
            served.add(config, f"{_OCI}.config.v1+json"),
            served.add(layer, f"{_OCI}.layer.v1.tar+gzip"),
        ]
        kind = f"{_OCI}.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": described[0], "layers": described[1:]}
        served.manifests[str(number)] = str(served.add(json.dumps(manifest).encode(), kind)["digest"])
    return served


def _member(name: str) -> bytes:
    """Return the tar member of one empty file, without an end of the archive."""
    entry = tarfile.TarInfo(name)
    return entry.tobuf()


def _tar() -> bytes:
    """Files of random bytes, and files of words until the layer has its size when compressed."""
    chance = random.Random(40)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))).encode() for _ in range(5000)]
    text = b" ".join(chance.choices(words, k=_TEXT_FILE // 6))
    each = len(gzip.compress(text, 6))
    files = [chance.randbytes(_RANDOM_FILE) for _ in range(_RANDOM_FILES)]
    for _ in range((LAYER_BYTES - _RANDOM_FILE * _RANDOM_FILES) // each):
        files.append(b" ".join(chance.choices(words, k=_TEXT_FILE // 6)))
    chance.shuffle(files)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number, content in enumerate(files):
            if number % 20 == 0:
                entry = tarfile.TarInfo(f"d{number // 20}")
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            entry = tarfile.TarInfo(f"d{number // 20}/f{number}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
