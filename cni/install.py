"""Writes the plugins as executables: one small script each, for any runtime that speaks CNI."""

import os
import shlex
import sys
from pathlib import Path

from cni.skel import PLUGINS


def install(bin_dir: Path, python: str = sys.executable) -> list[Path]:
    """Write a script for each plugin into bin_dir and return their paths. Old ones are replaced."""
    bin_dir.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).resolve().parent.parent
    written = []
    for name in PLUGINS:
        path = bin_dir / name
        temporary = path.with_name(f".{name}.new")
        temporary.write_text(script(name, python, source))
        temporary.chmod(0o755)
        os.replace(temporary, path)
        written.append(path)
    return written


def script(name: str, python: str, source: Path) -> str:
    """Render one script. Isolated mode: the caller's environment and directory choose no code. Pure."""
    imports = f"import sys; sys.path.insert(0, {str(source)!r}); from cni import skel"
    code = f"{imports}; sys.exit(skel.main({name!r}))"
    return f"#!/bin/sh\nexec {shlex.quote(python)} -I -c {shlex.quote(code)}\n"
