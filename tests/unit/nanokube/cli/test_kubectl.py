"""`nanokube kubectl` hands its arguments on as they were typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from nanokube.cli import kubectl as cli_kubectl
from nanokube.cli import main


@pytest.mark.parametrize(
    "arguments",
    [["get", "pods", "-A"], ["exec", "web", "--", "sh", "-c", "echo $0"], ["--help"], ["-h"], []],
)
def test_arguments_pass_as_they_stand(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[list[str]] = []
    (tmp_path / "etc/nanokube").mkdir(parents=True)
    (tmp_path / "etc/nanokube/admin.conf").touch()
    place = type("Place", (), {"admin_kubeconfig": tmp_path / "etc/nanokube/admin.conf"})
    monkeypatch.setattr("nanokube.cli.kubectl.paths.Paths", place)
    monkeypatch.setattr(cli_kubectl, "find", lambda: Path("/usr/bin/kubectl"))
    monkeypatch.setattr("os.execve", lambda _path, argv, _environment: ran.append(argv))
    done = CliRunner().invoke(main.main, ["kubectl", *arguments])
    assert done.exit_code == 0, done.output
    assert ran == [["kubectl", *arguments]]
