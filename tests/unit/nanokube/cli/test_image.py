"""How images are shown."""

import pytest

from cri.api import runtime_pb2
from nanokube.cli import image


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_982_864, "2.0 MB"), (5 * 10**12, "5000.0 GB")],
)
def test_sizes_are_in_decimal_units(size: int, shown: str) -> None:
    assert image.human(size) == shown


def test_each_tag_has_a_row_and_so_has_an_untagged_image() -> None:
    images = [
        runtime_pb2.Image(id="sha256:" + "a" * 64, repo_tags=["localhost:5000/x:2", "docker.io/y:1"], size=1),
        runtime_pb2.Image(id="sha256:" + "b" * 64, size=2000),
    ]
    assert image.rows(images) == [
        ("<none>", "<none>", "b" * 12, "2.0 kB"),
        ("docker.io/y", "1", "a" * 12, "1 B"),
        ("localhost:5000/x", "2", "a" * 12, "1 B"),
    ]
