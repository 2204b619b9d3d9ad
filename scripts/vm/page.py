"""docs/many-nodes.md followed word for word: its commands for real hosts make the machines a cluster."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.vm.cluster import Lab, say
from scripts.vm.machine import LabError, Machine

PAGE = Path(__file__).parents[2] / "docs/many-nodes.md"
SECTION = "Real hosts"
COMMAND_S = 900.0
JOIN = "sudo nanokube join "
_FENCED = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, section: str) -> Sequence[Sequence[str]]:
    """Return the commands of a section, block by block. Pure.

    >>> blocks("# A\\n## B\\n```\\none\\ntwo\\n```\\n## C\\n```\\nthree\\n```\\n", "B")
    [['one', 'two']]
    """
    _before, _heading, rest = page.partition(f"\n## {section}\n")
    text = rest.partition("\n## ")[0]
    return [found.splitlines() for found in _FENCED.findall(text)]


def follow(lab: Lab) -> None:
    """The commands that docs/many-nodes.md has for real hosts make each machine a node."""
    server, host, etcd = blocks(PAGE.read_text(), SECTION)
    first = lab.servers[0]
    if len(lab.servers) == 1:
        line = _do(first, server)
    else:
        line = _do(first, etcd)
        for each in lab.servers[1:]:
            _do(each, _joining(host, line))
        line = _do(first, server[-1:])
    for each in lab.workers:
        _do(each, _joining(host, line))


def _joining(commands: Sequence[str], line: str) -> Sequence[str]:
    """Put the line that was printed in place of the page's. Pure."""
    if not line.startswith(JOIN):
        raise LabError(f"the page's last command for the server prints no line to join with: {line!r}")
    return [line if command.startswith(JOIN) else command for command in commands]


def _do(each: Machine, commands: Sequence[str]) -> str:
    """Run commands as they stand; return the last line that they print."""
    said = ""
    for command in commands:
        say(f"  {each.name}$ {_hidden(command)}")
        said = each.run(command, COMMAND_S, _heard(each.name))
    return said.strip().rpartition("\n")[2]


def _heard(name: str) -> Callable[[str], None]:
    def heard(line: str) -> None:
        if line:
            say(f"  {name}: {_hidden(line)}")

    return heard


def _hidden(line: str) -> str:
    """Leave out what must not be in a log. Pure.

    >>> _hidden("join URL --token a.b --ca-hash sha256:c --certificate-key d")
    'join URL --token … --ca-hash sha256:c --certificate-key …'
    """
    return re.sub(r"(--token|--certificate-key) \S+", r"\1 …", line)
