"""Foreign CNI plugins as processes."""

from pathlib import Path

import pytest

from cri.api import runtime_pb2 as pb
from cri.network import attach, conflist, plugin

ENV = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c", "CNI_NETNS": "/n", "CNI_IFNAME": "eth0"}


def script(directory: Path, name: str, body: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return directory


def test_a_plugins_output_is_the_result(tmp_path: Path) -> None:
    bin_dir = script(
        tmp_path, "echoing", 'input=$(cat); echo "{\\"in\\": $input, \\"cmd\\": \\"$CNI_COMMAND\\"}"'
    )
    big = b'{"a": "' + b"x" * 200_000 + b'"}'
    answer = plugin.run("echoing", ENV, big, [tmp_path / "none", bin_dir])
    assert answer is not None
    assert answer["cmd"] == "ADD"
    assert len(answer["in"]["a"]) == 200_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            'echo "{\\"code\\": 11, \\"msg\\": \\"no address\\", \\"details\\": \\"full\\"}"; exit 1',
            "no address: full",
        ),
        ("echo broken >&2; exit 3", "exit code 3: broken"),
        ("echo garbage", "not JSON"),
    ],
)
def test_a_failing_plugin_says_why(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(plugin.PluginError, match=message):
        plugin.run("bad", ENV, b"{}", [script(tmp_path, "bad", body)])


def test_a_plugin_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "TIMEOUT_S", 0.1)
    with pytest.raises(plugin.PluginError, match="timed out"):
        plugin.run("slow", ENV, b"{}", [script(tmp_path, "slow", "exec sleep 60")])


def test_a_missing_plugin_is_named(tmp_path: Path) -> None:
    with pytest.raises(plugin.PluginError, match="not found"):
        plugin.run("absent", ENV, b"{}", [tmp_path])


def test_a_list_runs_forward_and_is_undone_backward(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for name in ("one", "two"):
        script(
            tmp_path, name, f'cat >/dev/null; echo "$CNI_COMMAND {name}" >> {log}; echo "{{\\"ips\\": []}}"'
        )
    network = attach.Network(tmp_path, [tmp_path])
    wanted = attach.Attachment(
        conflist.parse({"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "one"}, {"type": "two"}]}),
        {},
    )
    done = network.add(wanted, "c", "/n", "")
    network.delete(attach.from_json(done.to_json()), "c", "/n", "")
    assert log.read_text().splitlines() == ["ADD one", "ADD two", "DEL two", "DEL one"]


def test_port_mappings_with_a_host_port_become_a_capability() -> None:
    config = pb.PodSandboxConfig(
        port_mappings=[
            pb.PortMapping(container_port=80, host_port=8080, protocol=pb.UDP, host_ip="127.0.0.1"),
            pb.PortMapping(container_port=81),
        ]
    )
    assert attach.capabilities(config) == {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "udp", "hostIP": "127.0.0.1"}]
    }
    assert attach.capabilities(pb.PodSandboxConfig()) == {}


def test_a_pod_name_cannot_smuggle_an_argument() -> None:
    config = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="a;IP=6.6.6.6", uid="u"))
    with pytest.raises(ValueError, match="reserved"):
        attach.arguments(config, "id")
