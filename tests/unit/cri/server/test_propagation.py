"""Which mounts have peers."""

import pytest

from cri.server import propagation

MOUNTINFO = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /proc rw,nosuid - proc proc rw
23 21 0:6 / /data rw master:1 shared:7 - tmpfs tmpfs rw
24 21 0:7 / /shared:9 rw - tmpfs shared:9 rw
"""


@pytest.mark.parametrize(
    ("identity", "expected"), [(21, True), (22, False), (23, True), (24, False), (9, False)]
)
def test_a_mount_with_a_peer_group_is_shared(identity: int, expected: bool) -> None:
    assert propagation.is_shared(MOUNTINFO, identity) is expected
