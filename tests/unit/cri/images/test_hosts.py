"""certs.d: names of directories, mirrors in order, certificates, and what a damaged file does."""

from pathlib import Path

import pytest

from cri.images import errors, hosts

_NONE: frozenset[str] = frozenset()


def _write(directory: Path, text: str) -> Path:
    directory.mkdir(parents=True)
    (directory / "hosts.toml").write_text(text)
    return directory


@pytest.mark.parametrize(
    ("registry", "directory"),
    [
        ("quay.io", "quay.io"),
        ("reg.example:5000", "reg.example:5000"),
        ("reg.example:5000", "reg.example_5000_"),
        ("[::1]:5000", "[::1]_5000_"),
        ("anything.example", "_default"),
        ("anything.example:5000", "_default"),
    ],
)
def test_directory_is_found(tmp_path: Path, registry: str, directory: str) -> None:
    _write(tmp_path / directory, '[host."https://mirror.example"]\n')
    first, last = hosts.endpoints(registry, tmp_path, _NONE)
    assert (first.url, first.is_mirror) == ("https://mirror.example/v2", True)
    assert (last.host, last.is_mirror) == (registry, False)


def test_registry_of_its_own_directory_does_not_get_the_default(tmp_path: Path) -> None:
    _write(tmp_path / "quay.io", "")
    _write(tmp_path / "_default", '[host."https://mirror.example"]\n')
    assert [e.host for e in hosts.endpoints("quay.io", tmp_path, _NONE)] == ["quay.io"]
    assert [e.host for e in hosts.endpoints("ghcr.io", tmp_path, _NONE)] == ["mirror.example", "ghcr.io"]


def test_top_level_settings_are_the_registrys_own(tmp_path: Path) -> None:
    home = _write(tmp_path / "r.example", 'ca = "ca.pem"\nskip_verify = true\n[host."https://m"]\n')
    mirror, own = hosts.endpoints("r.example", tmp_path, _NONE)
    assert (mirror.ca_files, mirror.is_unverified) == ((), False)
    assert (own.url, own.ca_files, own.is_unverified) == ("https://r.example/v2", (home / "ca.pem",), True)


def test_server_replaces_the_registry_and_is_told_its_name(tmp_path: Path) -> None:
    _write(tmp_path / "r.example", 'server = "https://cache.example/path"\n')
    (only,) = hosts.endpoints("r.example", tmp_path, _NONE)
    assert (only.url, only.is_mirror, only.registry) == ("https://cache.example/path/v2", True, "r.example")


def test_capabilities_choose(tmp_path: Path) -> None:
    text = (
        'server = "https://s"\ncapabilities = ["resolve"]\n'
        '[host."https://push"]\ncapabilities = ["push"]\n'
        '[host."https://pull"]\ncapabilities = ["pull"]\n[host."https://all"]\n'
    )
    _write(tmp_path / "r.example", text)
    found = hosts.endpoints("r.example", tmp_path, _NONE)
    assert [(e.host, e.can_resolve) for e in found] == [("pull", False), ("all", True)]


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        ('"c.pem"', [("c.pem", None)]),
        ('["c.pem"]', [("c.pem", None)]),
        ('["a.pem", "b.pem"]', [("a.pem", None), ("b.pem", None)]),
        ('["c.cert", "c.key"]', [("c.cert", "c.key")]),
        ('[["c.cert", "c.key"], ["d.pem", ""]]', [("c.cert", "c.key"), ("d.pem", None)]),
        ('[["/abs.pem"]]', [("/abs.pem", None)]),
    ],
)
def test_client_certificates(tmp_path: Path, value: str, pairs: list[tuple[str, str | None]]) -> None:
    home = _write(tmp_path / "r", f'[host."https://m"]\nclient = {value}\nca = ["1.pem", "2.pem"]\n')
    mirror = hosts.endpoints("r", tmp_path, _NONE)[0]
    assert mirror.client_certificates == tuple((home / c, home / k if k else None) for c, k in pairs)
    assert mirror.ca_files == (home / "1.pem", home / "2.pem")


def test_certificates_without_hosts_toml_are_taken_as_docker_names_them(tmp_path: Path) -> None:
    home = tmp_path / "r.example"
    home.mkdir()
    for name in ("ca.crt", "me.cert", "me.key"):
        (home / name).touch()
    (own,) = hosts.endpoints("r.example", tmp_path, _NONE)
    assert own.ca_files == (home / "ca.crt",)
    assert own.client_certificates == ((home / "me.cert", home / "me.key"),)


def test_headers_and_path(tmp_path: Path) -> None:
    text = (
        '[host."https://m/v2/prefix"]\noverride_path = true\n[host."https://m/v2/prefix".header]\nx = "1"\n'
    )
    _write(tmp_path / "r", text + 'y = ["2", "3"]\n')
    mirror = hosts.endpoints("r", tmp_path, _NONE)[0]
    assert mirror.url == "https://m/v2/prefix"
    assert mirror.headers == (("x", "1"), ("y", "2"), ("y", "3"))


@pytest.mark.parametrize(
    "text",
    [
        "= 1",
        "host = 7",
        '[host."https://m"]\nclient = [7]',
        '[host."https://m"]\nheader = 7',
        'server = "ftp://x"',
        'server = "https://"',
    ],
)
def test_damaged_file_is_a_clear_error(tmp_path: Path, text: str) -> None:
    _write(tmp_path / "r", text)
    with pytest.raises(errors.ImageError, match=r"cannot read .*hosts\.toml") as caught:
        hosts.endpoints("r", tmp_path, _NONE)
    assert caught.value.kind is errors.Kind.FAILED_PRECONDITION
