"""Containers from create to remove, on a real kernel."""

from __future__ import annotations

import pytest

from cri.bundle.spec import Resources
from cri.runtime.faults import RuntimeFault

pytestmark = pytest.mark.root


def test_output_and_exit_code_reach_log_and_state(node):  # type: ignore[no-untyped-def]
    code, lines = node.run("sh", "-c", "echo hello; echo $$; exit 3")
    assert (code, lines) == (3, ["hello", "1"])
