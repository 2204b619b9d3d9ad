"""Names and addresses of a lab, and its record."""

from pathlib import Path

import pytest

from nanokube.lab import place


def test_nodes_have_names_addresses_and_link_addresses_of_their_own() -> None:
    lab = place.plan("x", Path("/x"), 3, 2)
    assert [node.name for node in lab.nodes] == ["s1", "s2", "s3", "w1", "w2"]
    assert len({node.address for node in lab.nodes} | {*lab.gateways}) == 6
    assert len({node.mac for node in lab.nodes}) == 5
    assert lab.cgroup_root("w1") == "nklab_x_w1"


@pytest.mark.parametrize(
    ("name", "servers", "workers", "subnet"),
    [
        ("A", 1, 2, place.SUBNET),
        ("a_b", 1, 2, place.SUBNET),
        ("../x", 1, 2, place.SUBNET),
        ("x", 0, 3, place.SUBNET),
        ("x", 1, -1, place.SUBNET),
        ("x", 1, 200, place.SUBNET),
        ("x", 1, 6, "10.0.0.0/28"),
        ("x", 1, 1, "no range"),
        ("x", 1, 1, "10.0.0.0/24,10.1.0.0/24"),
        ("x", 1, 1, ""),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, servers: int, workers: int, subnet: str) -> None:
    with pytest.raises(place.LabError):
        place.plan(name, Path("/x"), servers, workers, subnet)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    lab = place.plan("x", tmp_path, 1, 1)
    place.save(lab)
    assert place.read(tmp_path) == lab
    with pytest.raises(place.LabError, match="no node w9"):
        lab.node("w9")
    with pytest.raises(place.LabError, match="no lab called y"):
        place.read(tmp_path / "y")


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "dual"])
def test_a_lab_has_the_families_that_it_was_asked_for(family: str) -> None:
    lab = place.plan("x", Path("/x"), 1, 1, place.SUBNETS[family])
    assert lab.ip_family == family
    assert (
        lab.nodes[0].addresses
        == {
            "ipv4": ("10.213.0.10",),
            "ipv6": ("fd00:10:213::a",),
            "dual": ("10.213.0.10", "fd00:10:213::a"),
        }[family]
    )
    assert [lab.prefix_length(each) for each in lab.gateways] == [
        64 if ":" in each else 24 for each in lab.gateways
    ]
