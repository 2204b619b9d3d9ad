"""The runtime's command line: what hinders it is told in one line."""

from pathlib import Path

import pytest

from cri import main


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot read {file}: No such file or directory"),
        ('{"sockte": 1}', "cannot use configuration: unknown field 'sockte'"),
        ("{}", "needs root: namespaces, cgroups and mounts"),
    ],
)
def test_what_hinders_it_is_told_in_one_line(
    text: str | None,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    file = tmp_path / "cri.json"
    if text is not None:
        file.write_text(text)
    assert main.main(["--config", str(file)]) == 2
    assert capsys.readouterr().err == f"nanokube-cri: {told.format(file=file)}\n"
