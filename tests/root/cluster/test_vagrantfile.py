"""Vagrant takes the Vagrantfile; where it has a provider, that provider's settings too."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.root  # not for what it does, but for the seconds that it takes

ROOT = Path(__file__).parents[3]
NO_PROVIDER = "No usable default provider"


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed")
def test_the_vagrantfile_is_valid(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("Vagrantfile", "scripts/provision"):
        shutil.copy(ROOT / name, tmp_path / name)

    def validate(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
        known = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
        return subprocess.run(
            ["vagrant", "validate", *options],
            cwd=tmp_path,
            env={**os.environ, **known, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    done = validate(NANOKUBE_SERVERS="3", NANOKUBE_WORKERS="4")
    if NO_PROVIDER in done.stderr:
        done = validate("-p", NANOKUBE_SERVERS="3", NANOKUBE_WORKERS="4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout
    refused = validate(NANOKUBE_WORKERS="many")
    assert refused.returncode != 0
    assert "NANOKUBE_WORKERS=many is no number from 0 to 30" in refused.stderr
