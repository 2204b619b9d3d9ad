"""Links as the kernel describes them."""

import socket
import struct

from nanokube.kit import links
from nanokube.kit.links import DEFAULT_BYTES, Sizes

BIG = 196608
LARGE = Sizes(BIG, BIG)


def test_no_link_gets_more_than_its_driver_takes() -> None:
    assert links.Link(1, "x", True, Sizes()).fitted(LARGE) == Sizes()
    assert links.Link(1, "x", True, Sizes(), 524280).fitted(LARGE) == LARGE


def test_a_message_about_a_link_is_read() -> None:
    def attribute(kind: int, data: bytes) -> bytes:
        return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) & 3)

    numbers = {4: 1500, 41: BIG, 59: 524280, 63: 131072, 5: 7, 37: 2, 10: 3}
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 1, 12, 1 << 16, 0) + attribute(3, b"nk0123456789ab\0")
    body += b"".join(attribute(kind, struct.pack("=I", value)) for kind, value in numbers.items())
    body += attribute(18, attribute(1, b"veth\0"))
    found = links.parse(body)
    assert found == links.Link(12, "nk0123456789ab", True, Sizes(131072, BIG), 524280, 7, 2, 3, "veth", 1500)


def test_a_kernel_that_knows_no_limits_has_the_default_ones() -> None:
    found = links.parse(struct.pack("=BxHiII", socket.AF_UNSPEC, 1, 12, 0, 0))
    assert (found.sizes, found.cap, found.is_up) == (Sizes(), DEFAULT_BYTES, False)
    assert found.fitted(LARGE) == Sizes()
