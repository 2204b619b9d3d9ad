"""Names of images: several tags, two registries, moved tags, removal."""

from cri.images import catalog
from cri.images.catalog import Catalog, Record

_A, _B = ("sha256:" + c * 64 for c in "ab")
_EMPTY: Catalog = {}


def _record(image_id: str, *tags: str, digests: tuple[str, ...] = ()) -> Record:
    return Record(id=image_id, layers=(image_id,), size_bytes=1, repo_tags=tags, repo_digests=digests)


def test_one_image_from_two_registries_has_both_names() -> None:
    known = catalog.add(catalog.add(_EMPTY, _record(_A, "r/p:1")), _record(_A, "k/p:1"))
    assert known[_A].repo_tags == ("k/p:1", "r/p:1")


def test_a_tag_moves_to_the_newer_image() -> None:
    known = catalog.add(catalog.add(_EMPTY, _record(_A, "r/p:1", "r/p:2")), _record(_B, "r/p:1"))
    assert known[_A].repo_tags == ("r/p:2",)
    assert known[_B].repo_tags == ("r/p:1",)


def test_image_is_found_by_every_name() -> None:
    digest = f"docker.io/library/p@{_B}"
    known = catalog.add(_EMPTY, _record(_A, "docker.io/library/p:latest", digests=(digest,)))
    for name in ("p", "p:latest", "docker.io/p", digest, _A, _A[7:], _A[7:19], f"p@{_B}", f"p:x@{_B}"):
        assert catalog.find(known, name) is known[_A], name
    for name in ("p:2", "q", _B, "", "Bad Ref", "sha256:", "aaa"):
        assert catalog.find(known, name) is None, name


def test_ambiguous_prefix_finds_nothing() -> None:
    other = "sha256:" + "a" * 60 + "0000"
    known = catalog.add(catalog.add(_EMPTY, _record(_A)), _record(other))
    assert catalog.find(known, "aaaa") is None


def test_removal_takes_all_names() -> None:
    known = catalog.add(_EMPTY, _record(_A, "r/p:1", "r/p:2"))
    assert catalog.remove(known, _A) == {}
    assert catalog.layers(known) == {_A}


def test_json_form_is_lossless() -> None:
    known = catalog.add(_EMPTY, _record(_A, "r/p:1", digests=("r/p@" + _B,)))
    assert catalog.decode(catalog.encode(known)) == known


def test_pin_survives_a_later_pull_and_a_restart() -> None:
    imported = Record(id=_A, layers=(), size_bytes=1, repo_tags=("r/p:1",), is_pinned=True)
    known = catalog.add(catalog.add(_EMPTY, imported), _record(_A, "r/p:2"))
    assert known[_A].is_pinned
    assert catalog.decode(catalog.encode(known)) == known


def test_catalogue_of_an_older_version_is_read() -> None:
    old = b'{"images":[{"id":"%s","layers":[],"size_bytes":1,"blobs":[],"repo_tags":[],"repo_digests":[]}]}'
    assert not catalog.decode(old % _A.encode())[_A].is_pinned
