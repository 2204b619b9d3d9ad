"""Pages that go through the proxy: which URLs are led back, and what strange markup costs."""

import gzip
import time

import pytest

from nanokube.apiserver.subresources import page


def relocate(url: str) -> str:
    return "/proxy" + url if url.startswith("/") else url


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<a href="/x">test</a>', '<a href="/proxy/x">test</a>'),
        ("<A class='a>b' HREF = '/x?a=1&amp;b=2'>t", "<A class='a>b' HREF = \"/proxy/x?a=1&amp;b=2\">t"),
        ("<img src=/i.png alt=/i.png>", '<img src="/proxy/i.png" alt=/i.png>'),
        ('<script src="/s.js">if (a<b) "<a href=\'/x\'>"</script><link href="/c">',
         '<script src="/proxy/s.js">if (a<b) "<a href=\'/x\'>"</script><link href="/proxy/c">'),
        ('<!-- <a href="/x"> --><form action="/f">', '<!-- <a href="/x"> --><form action="/proxy/f">'),
        ('<a href="x"><a href="http://other/x"><p href="/x">/x', None),
        ('<a href="/x', None),
        ('<a data-href="/x">', None),
    ],
)  # fmt: skip
def test_urls_in_attributes_that_hold_them_are_led_back(old: str, new: str | None) -> None:
    assert page.rewrite(old.encode(), relocate) == (old if new is None else new).encode()


def test_bytes_of_another_character_set_survive() -> None:
    assert page.rewrite(b'\xe9<a href="/\xe9">', relocate) == b'\xe9<a href="/proxy/\xe9">'


@pytest.mark.parametrize(
    "part", [b"<a ", b'<a "', b"<!--", b"<script>", b"<a href=/", b"<a>" + b"a " * 9, b"< "]
)
def test_hostile_pages_take_linear_time(part: bytes) -> None:
    hostile = part * (1_000_000 // len(part))
    began = time.perf_counter()
    page.rewrite(hostile, relocate)
    page.rewrite(b"<a " + b"a" * 300_000 + b" " * 300_000 + b">", relocate)
    assert time.perf_counter() - began < 5


def test_packed_pages_are_unpacked_within_limits() -> None:
    assert page.unpack(gzip.compress(b"<p>"), "gzip") == b"<p>"
    assert page.unpack(b"<p>", "") == b"<p>"
    assert page.unpack(b"<p>", "gzip") is None
    assert page.unpack(b"<p>", "br") is None
    assert page.unpack(gzip.compress(bytes(page.MAX_BYTES + 1)), "gzip") is None
