"""Image references: normalization and refusals."""

import pytest

from cri.images import errors
from cri.images.reference import Reference

_DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
        ("nginx/unit", "docker.io/nginx/unit:latest"),
        ("localhost/demo:1", "localhost/demo:1"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        (f"a/b@{_DIGEST}", f"docker.io/a/b@{_DIGEST}"),
        (f"a/b:1@{_DIGEST}", f"docker.io/a/b:1@{_DIGEST}"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1"),
    ],
)
def test_reference_is_normalized(text: str, normal: str) -> None:
    assert str(Reference.parse(text)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER/case/Name",
        "a/../b",
        "a//b",
        "a:b:c",
        "a@sha256:12",
        "a@md5:" + "a" * 32,
        "a b",
        "/a",
        "a/",
        "a:" + "t" * 129,
        "x/" + "a" * 260,
        "a\n",
        "http://a/b",
    ],
)
def test_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(errors.ImageError) as caught:
        Reference.parse(text)
    assert caught.value.kind is errors.Kind.INVALID_ARGUMENT


def test_reference_by_digest_gives_no_tag() -> None:
    assert Reference.parse(f"a/b:1@{_DIGEST}").tagged == ""
    assert Reference.parse("a/b").tagged == "docker.io/a/b:latest"
