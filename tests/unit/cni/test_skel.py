"""The exec protocol: what is refused, what versions look like, what an executable answers."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cni import install, result, skel
from cni.skel import Args, CniError, Code, Json

_ENV = {"CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/x", "CNI_IFNAME": "eth0", "CNI_PATH": "/a:/b"}


@dataclasses.dataclass
class Fake:
    """A plugin that writes down its calls."""

    calls: list[Args] = dataclasses.field(default_factory=list)

    def add(self, args: Args) -> Json:
        self.calls.append(args)
        return {"interfaces": [{"name": "eth0", "mtu": 1500}], "ips": [{"address": "10.0.0.2/24"}]}

    def delete(self, args: Args) -> None:
        self.calls.append(args)

    check = gc = status = delete


def _invoke(command: str, config: Any, env: dict[str, str] | None = None) -> tuple[Fake, Json | None]:
    fake = Fake()
    stdin = config if isinstance(config, bytes) else json.dumps(config).encode()
    return fake, skel.invoke(fake, {"CNI_COMMAND": command, **(_ENV if env is None else env)}, stdin)


def test_result_is_in_the_version_asked_for() -> None:
    config = {"cniVersion": "0.4.0", "name": "n", "type": "t"}
    fake, answer = _invoke("ADD", config)
    assert answer is not None
    assert answer["cniVersion"] == "0.4.0"
    assert answer["ips"] == [{"version": "4", "address": "10.0.0.2/24"}]
    assert answer["interfaces"] == [{"name": "eth0"}]
    assert fake.calls[0].path == ("/a", "/b")


def test_previous_result_is_read_as_newest() -> None:
    previous = {"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "10.0.0.2/24"}]}
    fake, _ = _invoke("DEL", {"cniVersion": "0.3.1", "name": "n", "prevResult": previous})
    assert fake.calls[0].config["prevResult"]["ips"] == [{"address": "10.0.0.2/24"}]


def test_version_needs_no_environment() -> None:
    _, answer = _invoke("VERSION", {"cniVersion": "1.0.0"}, {})
    assert answer == {"cniVersion": "1.0.0", "supportedVersions": list(skel.VERSIONS)}


@pytest.mark.parametrize(
    ("command", "config", "env", "code"),
    [
        ("ADD", b"{", None, Code.DECODING_FAILURE),
        ("ADD", b"[]", None, Code.DECODING_FAILURE),
        ("NOPE", {"cniVersion": "1.0.0", "name": "n"}, None, Code.INVALID_ENVIRONMENT),
        ("ADD", {"cniVersion": "9.0.0", "name": "n"}, None, Code.INCOMPATIBLE_VERSION),
        ("ADD", {"cniVersion": "0.2.0", "name": "n"}, None, Code.INCOMPATIBLE_VERSION),
        ("GC", {"cniVersion": "1.0.0", "name": "n"}, None, Code.INCOMPATIBLE_VERSION),
        ("CHECK", {"cniVersion": "0.3.1", "name": "n"}, None, Code.INCOMPATIBLE_VERSION),
        ("ADD", {"cniVersion": "1.0.0", "name": "n"}, {}, Code.INVALID_ENVIRONMENT),
        ("ADD", {"cniVersion": "1.0.0", "name": "n"}, {**_ENV, "CNI_CONTAINERID": "../x"}, Code(4)),
        ("ADD", {"cniVersion": "1.0.0", "name": "n"}, {**_ENV, "CNI_IFNAME": ".."}, Code(4)),
        ("ADD", {"cniVersion": "1.0.0", "name": "n"}, {**_ENV, "CNI_IFNAME": "a/b"}, Code(4)),
        ("ADD", {"cniVersion": "1.0.0", "name": "n"}, {**_ENV, "CNI_IFNAME": "x" * 16}, Code(4)),
        ("ADD", {"cniVersion": "1.0.0"}, None, Code.INVALID_CONFIG),
        ("ADD", {"cniVersion": "1.0.0", "name": "../n"}, None, Code.INVALID_CONFIG),
    ],
)
def test_bad_calls_have_the_codes_of_the_specification(
    command: str, config: Any, env: dict[str, str] | None, code: Code
) -> None:
    with pytest.raises(CniError) as caught:
        _invoke(command, config, env)
    assert caught.value.code == code
    assert caught.value.to_json("1.1.0")["code"] == int(code)


def test_newest_version_passes_unchanged() -> None:
    whole = {"interfaces": [{"name": "a", "mtu": 9}], "ips": [], "cniVersion": "1.1.0"}
    assert result.convert(whole, "1.1.0") == whole


def test_installed_scripts_speak_the_protocol(tmp_path: Path) -> None:
    paths = install.install(tmp_path / "bin")
    assert sorted(path.name for path in paths) == sorted(skel.PLUGINS)
    done = subprocess.run(
        [tmp_path / "bin" / "host-local"],
        input="{}",
        env={"CNI_COMMAND": "VERSION"},
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["supportedVersions"] == list(skel.VERSIONS)
    failed = subprocess.run(
        [tmp_path / "bin" / "host-local"],
        input="{}",
        env={"CNI_COMMAND": "ADD"},
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["code"] == int(Code.INCOMPATIBLE_VERSION)
