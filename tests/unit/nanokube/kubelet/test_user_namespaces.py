"""Ranges of ids: never two Pods in one, the same after a restart, free again after the Pod."""

from pathlib import Path

import pytest

from nanokube.kubelet.user_namespaces import EVERYTHING, LENGTH, NoRange, Pool, UserNamespaces, pool

THREE = Pool(LENGTH, 3)


def ranges(pods: Path, among: Pool = THREE) -> UserNamespaces:
    return UserNamespaces(pods, lambda: among, choose=lambda count: count - 1)


def test_every_pod_has_a_range_of_its_own_until_none_is_left(tmp_path: Path) -> None:
    held = ranges(tmp_path)
    assert sorted(held.of(uid) for uid in "abc") == [LENGTH, 2 * LENGTH, 3 * LENGTH]
    assert held.of("a") == held.of("a")
    with pytest.raises(NoRange, match="all 3 are in use"):
        held.of("d")
    freed = held.of("b")
    held.release("b")
    assert held.of("d") == freed


def test_a_restart_knows_who_holds_what(tmp_path: Path) -> None:
    before = ranges(tmp_path)
    held = {uid: before.of(uid) for uid in "ab"}
    after = ranges(tmp_path)
    after.adopt(["a", "b", "none"])
    assert after.of("c") not in held.values()
    assert {uid: after.of(uid) for uid in "ab"} == held


def test_what_upstreams_kubelet_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    mapping = f'[{{"hostId":{5 * LENGTH},"containerId":0,"length":{LENGTH}}}]'
    (tmp_path / "a/userns").write_text(f'{{"uidMappings":{mapping},"gidMappings":{mapping}}}')
    (tmp_path / "b").mkdir()
    (tmp_path / "b/userns").write_text('{"uidMappings":')
    held = ranges(tmp_path)
    held.adopt(["a", "b"])
    assert held.of("a") == 5 * LENGTH
    assert held.of("b") in (LENGTH, 2 * LENGTH, 3 * LENGTH)


def test_no_range_of_the_host_reaches_its_own_users_or_the_id_that_means_none() -> None:
    assert EVERYTHING.first == LENGTH
    assert EVERYTHING.first + EVERYTHING.count * LENGTH <= (1 << 32) - LENGTH


def test_the_line_of_the_kubelet_counts() -> None:
    line = f"root:100000:65536\nkubelet:{2 * LENGTH}:{4 * LENGTH}\n"
    assert pool(line, line) == Pool(2 * LENGTH, 4)
    assert pool("root:100000:65536\n", "") == EVERYTHING


@pytest.mark.parametrize(
    ("users", "groups"),
    [
        (f"kubelet:{LENGTH}:{LENGTH}", ""),
        (f"kubelet:{LENGTH}:{LENGTH}", f"kubelet:{2 * LENGTH}:{LENGTH}"),
        (f"kubelet:0:{LENGTH}", f"kubelet:0:{LENGTH}"),
        ("kubelet:100000:65536", "kubelet:100000:65536"),
        (f"kubelet:{LENGTH}:100", f"kubelet:{LENGTH}:100"),
        (f"kubelet:{LENGTH}:{1 << 33}", f"kubelet:{LENGTH}:{1 << 33}"),
    ],
)
def test_ranges_that_are_none_are_refused(users: str, groups: str) -> None:
    with pytest.raises(NoRange):
        pool(users, groups)
