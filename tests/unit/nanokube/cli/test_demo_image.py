"""The demonstration's image: contents and reproducibility."""

import io
import json
import struct
import tarfile

import pytest

from nanokube.cli import demo_image


def _elf(*program_headers: int) -> bytes:
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, len(program_headers))
    return bytes(head) + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in program_headers)


@pytest.mark.parametrize(
    ("program", "static"),
    [(_elf(1, 1), True), (_elf(1, 3), False), (b"#!/bin/sh", False), (b"", False)],
)
def test_static_executables_ask_for_no_linker(program: bytes, static: bool) -> None:
    assert demo_image.is_static(program) is static


def test_applets_are_hard_links() -> None:
    with tarfile.open(fileobj=io.BytesIO(demo_image.layer(b"B", ["sh", "httpd", "busybox"]))) as tar:
        members = {member.name: member for member in tar}
    assert members["bin/sh"].islnk()
    assert members["bin/sh"].linkname == "bin/busybox"
    assert members["bin/busybox"].isreg()
    assert members["tmp"].mode == 0o1777
    assert list(members).index("bin/busybox") < list(members).index("bin/httpd")


def test_archive_is_reproducible_and_names_the_image() -> None:
    content = demo_image.layer(b"B", ["sh"])
    packed = demo_image.archive(content)
    assert packed == demo_image.archive(content)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        index = json.load(file)
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == demo_image.REFERENCE
