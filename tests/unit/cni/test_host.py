"""What is written down of the host's own settings."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cni import host


def test_plugins_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    names = [f"table{number}" for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: host.remember(tmp_path, "tables", name), names))
    assert sorted(json.loads((tmp_path / "host.json").read_text())["tables"]) == sorted(names)
