"""Documents by digest."""

from pathlib import Path

from cri.images.blobs import Blobs


def test_a_blob_deleted_since_it_was_listed_uses_no_disk(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = blobs.path(blobs.put(b"{}"))
    path.with_name("gone").symlink_to("nothing")  # listed, not there when asked
    assert blobs.usage() == (path.stat().st_blocks * 512, 1)
