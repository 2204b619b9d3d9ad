"""What an update of limits writes, and what is noted of it."""

from cri.api import runtime_pb2 as pb
from cri.server import update_resources

Resources = pb.LinuxContainerResources
CURRENT = Resources(
    cpu_quota=50_000,
    cpu_period=200_000,
    memory_limit_in_bytes=64 << 20,
    oom_score_adj=500,
    hugepage_limits=[pb.HugepageLimit(page_size="2MB", limit=2 << 20)],
)


def test_quota_and_period_are_written_together() -> None:
    assert update_resources.complete(Resources(cpu_quota=100_000), CURRENT).cpu_period == 200_000
    assert update_resources.complete(Resources(cpu_period=100_000), CURRENT).cpu_quota == 50_000
    assert update_resources.complete(Resources(cpu_shares=2), CURRENT) == Resources(cpu_shares=2)


def test_a_swap_limit_is_told_from_the_memory_limit() -> None:
    asked = Resources(memory_swap_limit_in_bytes=80 << 20)
    assert update_resources.complete(asked, CURRENT).memory_limit_in_bytes == 64 << 20


def test_what_is_noted_is_what_holds() -> None:
    pages = [
        pb.HugepageLimit(page_size="2MB", limit=4 << 20),
        pb.HugepageLimit(page_size="1GB", limit=1 << 30),
    ]
    asked = Resources(cpu_shares=2, oom_score_adj=9, hugepage_limits=pages)
    after = update_resources.merged(asked, CURRENT)
    assert (after.cpu_shares, after.cpu_quota, after.oom_score_adj) == (2, 50_000, 500)
    assert list(after.hugepage_limits) == pages
