"""Address leases: order, exhaustion, idempotence, garbage collection."""

import json
from pathlib import Path
from typing import Any

import pytest

from cni import skel
from cni.skel import CniError, Code


def _call(
    tmp_path: Path, command: str, container: str, ipam: dict[str, Any] | None = None, **more: Any
) -> Any:
    config = {
        "cniVersion": "1.1.0",
        "name": "net",
        "ipam": {"type": "host-local", "dataDir": str(tmp_path), **(ipam or _SMALL)},
        **more,
    }
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": "/x",
        "CNI_ARGS": more.pop("args", ""),
    }
    return skel.invoke("host-local", env, json.dumps(config).encode())


_SMALL: dict[str, Any] = {"ranges": [[{"subnet": "10.1.0.0/29"}]], "routes": [{"dst": "0.0.0.0/0"}]}


def _address(answer: Any) -> str:
    return str(answer["ips"][0]["address"])


def test_addresses_go_round_and_spare_gateway_network_and_broadcast(tmp_path: Path) -> None:
    found = [_address(_call(tmp_path, "ADD", f"c{n}")) for n in range(5)]
    assert found == [f"10.1.0.{n}/29" for n in (2, 3, 4, 5, 6)]
    _call(tmp_path, "DEL", "c0")
    assert _address(_call(tmp_path, "ADD", "c9")) == "10.1.0.2/29"


def test_released_address_rests_while_others_are_free(tmp_path: Path) -> None:
    _call(tmp_path, "ADD", "a")
    _call(tmp_path, "DEL", "a")
    assert _address(_call(tmp_path, "ADD", "b")) == "10.1.0.3/29"


def test_full_range_is_a_clear_error(tmp_path: Path) -> None:
    for n in range(5):
        _call(tmp_path, "ADD", f"c{n}")
    with pytest.raises(
        CniError, match=r"no IP addresses available in range set: 10\.1\.0\.1-10\.1\.0\.6"
    ) as err:
        _call(tmp_path, "ADD", "more")
    assert err.value.code == Code.NO_ADDRESS
    with pytest.raises(CniError):
        _call(tmp_path, "STATUS", "")


def test_repeated_add_keeps_the_address_and_repeated_del_is_fine(tmp_path: Path) -> None:
    assert _call(tmp_path, "ADD", "a") == _call(tmp_path, "ADD", "a")
    _call(tmp_path, "CHECK", "a")
    _call(tmp_path, "DEL", "a")
    _call(tmp_path, "DEL", "a")
    with pytest.raises(CniError) as err:
        _call(tmp_path, "CHECK", "a")
    assert err.value.code == Code.CHECK_FAILED


def test_gc_keeps_valid_attachments_only(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _call(tmp_path, "ADD", name)
    valid = {"cni.dev/valid-attachments": [{"containerID": "b", "ifname": "eth0"}]}
    _call(tmp_path, "GC", "", None, **valid)
    assert sorted(p.name for p in (tmp_path / "net").iterdir() if p.name[0].isdigit()) == ["10.1.0.3"]


def test_lease_files_have_the_reference_layout(tmp_path: Path) -> None:
    _call(tmp_path, "ADD", "a")
    assert (tmp_path / "net" / "10.1.0.2").read_bytes() == b"a\r\neth0"
    assert (tmp_path / "net" / "last_reserved_ip.0").read_text() == "10.1.0.2"


def test_second_range_set_failing_releases_the_first(tmp_path: Path) -> None:
    ipam = {
        "ranges": [
            [{"subnet": "10.1.0.0/24"}],
            [{"subnet": "10.2.0.0/30", "rangeStart": "10.2.0.1", "rangeEnd": "10.2.0.1"}],
        ]
    }
    with pytest.raises(CniError):
        _call(tmp_path, "ADD", "a", ipam)
    assert not (tmp_path / "net" / "10.1.0.2").exists()


@pytest.mark.parametrize(
    "ipam",
    [
        {"ranges": []},
        {"ranges": [[{"subnet": "bogus"}]]},
        {"ranges": [[{"subnet": "10.1.0.0/29", "rangeStart": "10.2.0.1"}]]},
        {"ranges": [[{"subnet": "10.1.0.0/29", "rangeStart": "10.1.0.5", "rangeEnd": "10.1.0.2"}]]},
        {"ranges": [{"subnet": "10.1.0.0/29"}]},
    ],
)
def test_bad_ranges_are_refused(tmp_path: Path, ipam: dict[str, Any]) -> None:
    with pytest.raises(CniError) as err:
        _call(tmp_path, "ADD", "a", ipam)
    assert err.value.code == Code.INVALID_CONFIG


_BOTH: dict[str, Any] = {"ranges": [[{"subnet": "10.1.0.0/29"}], [{"subnet": "fd00:1::/64"}]]}


def test_one_address_of_each_family_is_given_held_and_released(tmp_path: Path) -> None:
    def addresses(answer: Any) -> list[str]:
        return [each["address"] for each in answer["ips"]]

    first = _call(tmp_path, "ADD", "a", _BOTH)
    assert addresses(first) == ["10.1.0.2/29", "fd00:1::2/64"]
    assert first["ips"][1]["gateway"] == "fd00:1::1"
    assert _call(tmp_path, "ADD", "a", _BOTH) == first
    assert addresses(_call(tmp_path, "ADD", "b", _BOTH)) == ["10.1.0.3/29", "fd00:1::3/64"]
    _call(tmp_path, "STATUS", "", _BOTH)
    _call(tmp_path, "DEL", "a", _BOTH)
    assert sorted(p.name for p in (tmp_path / "net").iterdir() if p.name[0] in "1f") == [
        "10.1.0.3",
        "fd00:1::3",
    ]
