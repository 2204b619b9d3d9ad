"""One running cluster for the tests of this folder that only use it; a fresh host for those that end it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.root.cluster import host


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[host.Host]:
    """A single-node cluster with the demonstration's image imported."""
    with host.new(tmp_path_factory.mktemp("cluster"), "alpha") as made:
        made.up()
        import_demo_image(made)
        yield made
        print(made.logs())


@pytest.fixture
def bare_host(tmp_path: Path) -> Iterator[host.Host]:
    """A host on which nothing was started yet."""
    with host.new(tmp_path, "beta") as made:
        yield made


@pytest.fixture
def apply(cluster: host.Host) -> Iterator[Any]:
    """Apply objects; delete them after the test."""
    applied: list[str] = []

    def _apply(*objects: dict[str, Any]) -> None:
        text = "".join(json.dumps(each) for each in objects)
        applied.append(text)
        cluster.kubectl("apply", "-f", "-", stdin=text)

    yield _apply
    for text in applied:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=true", "-f", "-", stdin=text)


def import_demo_image(on: host.Host) -> None:
    """Build the demonstration's image on the host and import it."""
    build = (
        "import pathlib; from nanokube.cli import demo_image; demo_image.build(pathlib.Path('/run/demo.tar'))"
    )
    on.run(str(host.NANOKUBE.with_name("python")), "-c", build)
    on.nanokube("image", "import", "/run/demo.tar")
