"""Only a member that is lost is taken out."""

import pytest

from nanokube.roles import etcd, etcd_members
from nanokube.storage.etcd import members

FOUND = [
    members.Known("s1", "192.0.2.10", is_learner=False, is_answering=True),
    members.Known("s2", "192.0.2.11", is_learner=False, is_answering=True),
    members.Known("s3", "192.0.2.12", is_learner=False, is_answering=False),
    members.Known("", "192.0.2.13", is_learner=True, is_answering=False),
]


@pytest.mark.parametrize("name", ["s3", "192.0.2.12", "192.0.2.13"])
def test_a_lost_one_may_go_by_name_or_address(name: str) -> None:
    gone = etcd_members.choose(FOUND, name, "s1")
    assert name in (gone.name, gone.address)


@pytest.mark.parametrize(
    ("name", "cause", "hint"),
    [
        ("s9", "no member s9", "it has s1, s2, s3, 192.0.2.13"),
        ("s1", "this server", "nanokube reset"),
        ("s2", "answers", "on that server"),
    ],
)
def test_others_stay(name: str, cause: str, hint: str) -> None:
    with pytest.raises(etcd.EtcdError, match=cause) as caught:
        etcd_members.choose(FOUND, name, "s1")
    assert hint in caught.value.hint
