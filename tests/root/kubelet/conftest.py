"""A real CRI server, and a way to run code beside it: in its mount and network namespaces."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.root.cri.server.conftest import SOURCE, Node, clean_up, launch, load_image


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = launch(tmp_path_factory.mktemp("kubelet"), f"nk-test-{uuid.uuid4().hex[:8]}")
    try:
        load_image(made)
        yield made
    finally:
        clean_up(made)


def beside(node: Node, scenario: str) -> str:
    """Run one scenario of scenarios.py in the server's namespaces; return its output."""
    command = [
        *("nsenter", "--mount", "--net", f"--target={node.keeper.pid}"),
        *(sys.executable, "-m", "tests.root.kubelet.scenarios", scenario, str(node.directory), node.name),
    ]
    done = subprocess.run(
        command,
        cwd=SOURCE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
