"""What --store may say; how keys and revisions are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanokube.storage.etcd import follower, settings
from nanokube.storage.etcd.keys import Keys
from nanokube.storage.store import Compacted


@pytest.mark.parametrize(
    ("url", "endpoints"),
    [
        ("etcd://a", ("a:2379",)),
        ("etcd://a:1,b:2", ("a:1", "b:2")),
        ("https://a:1/,https://[::1]:2", ("a:1", "[::1]:2")),
    ],
)
def test_endpoints(url: str, endpoints: tuple[str, ...]) -> None:
    assert settings.parse(url, ca=Path("ca")).endpoints == endpoints


@pytest.mark.parametrize(
    ("url", "options", "cause"),
    [
        ("mysql://a", {}, "mysql://"),
        ("etcd://", {}, "not host:port"),
        ("etcd://a:b", {}, "Port"),
        ("etcd://a/b", {}, "not host:port"),
        ("https://a", {}, "needs the CA"),
        ("etcd://a", {"cert": Path("c")}, "go together"),
        ("etcd://a", {"prefix": "x"}, "must be like"),
        ("etcd://a", {"prefix": "/x/"}, "must be like"),
    ],
)
def test_what_cannot_work_is_refused(url: str, options: dict[str, object], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        settings.parse(url, **options)  # type: ignore[arg-type]


def test_keys_have_a_prefix_and_revisions_an_offset() -> None:
    keys = Keys("/ours", 100)
    assert keys.encode("/registry/pods/a") == b"/ours/registry/pods/a"
    assert keys.decode(b"/ours/registry/pods/a") == "/registry/pods/a"
    assert [keys.is_own(raw) for raw in (b"/ours/x", b"/ours.nanokube/offset")] == [True, False]
    assert keys.first <= b"/ours.nanokube/offset" < b"/ours/x" < keys.last <= b"/ours2/x"
    assert (keys.shown(5), keys.shown(0), keys.asked(105), keys.asked(0)) == (105, 0, 5, 0)
    with pytest.raises(Compacted) as found:
        keys.asked(100)
    assert found.value.compacted == 101


def test_which_etcd_answers_progress_rightly() -> None:
    versions = ("3.4.23", "3.4.31", "3.5.12", "3.5.13", "3.6.0", "3.6.0-rc.0", "4.0.0", "", "3.5")
    expected = [False, True, False, True, True, True, True, False, False]
    assert [follower.answers_progress(v) for v in versions] == expected
