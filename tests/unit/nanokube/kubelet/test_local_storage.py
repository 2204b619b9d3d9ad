from pathlib import Path
from typing import Any

import pytest

from nanokube.kubelet import local_storage
from nanokube.kubelet.local_storage import Used

MI = 1 << 20


def pod(*limits: str, volumes: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    containers = [
        {"name": f"c{n}", **({"resources": {"limits": {"ephemeral-storage": limit}}} if limit else {})}
        for n, limit in enumerate(limits)
    ]
    return {"spec": {"containers": containers, "volumes": list(volumes)}}


SMALL = {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}
PLAIN = {"name": "v", "emptyDir": {}}
MEMORY = {"name": "v", "emptyDir": {"medium": "Memory"}}
CONTAINER = 'Container c0 exceeded its local ephemeral storage limit "5Mi". '
WHOLE = "Pod ephemeral local storage usage exceeds the total limit of containers {}. "


@pytest.mark.parametrize(
    ("spec", "containers", "volumes", "message"),
    [
        (pod("5Mi"), {"c0": 5 * MI}, {}, ""),
        (pod("5Mi"), {"c0": 5 * MI + 1}, {}, CONTAINER),
        (pod("5Mi", ""), {"c0": MI, "c1": 5 * MI}, {}, WHOLE.format("5Mi")),
        (pod("5Mi", "3Mi"), {"c0": MI, "c1": MI}, {}, ""),
        (pod("5Mi", "3Mi", volumes=(PLAIN,)), {"c0": MI}, {"v": 8 * MI}, WHOLE.format("8Mi")),
        (pod("5Mi", volumes=(MEMORY,)), {"c0": MI}, {"v": 8 * MI}, ""),
        (pod("", volumes=(SMALL,)), {}, {"v": MI}, ""),
        (
            pod("", volumes=(SMALL,)),
            {},
            {"v": MI + 1},
            'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
        ),
    ],
)
def test_what_passes_a_limit_is_named(
    spec: dict[str, Any], containers: dict[str, int], volumes: dict[str, int], message: str
) -> None:
    assert local_storage.is_limited(spec)
    assert local_storage.excess(spec, Used(containers, volumes)) == message


def test_pods_without_limits_are_not_measured() -> None:
    assert not local_storage.is_limited(pod("", volumes=(PLAIN,)))


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 100_000)
    alone = local_storage.disk_bytes(tmp_path)
    assert alone >= 100_000
    (tmp_path / "two").hardlink_to(tmp_path / "a" / "one")
    assert local_storage.disk_bytes(tmp_path) < alone + 100_000
    assert local_storage.disk_bytes(tmp_path / "none") == 0
