"""Which Kubernetes this server speaks. Pure."""

from __future__ import annotations

import platform
from typing import Final

GIT_VERSION: Final = "v1.36.0+nanokube"


def info() -> dict[str, str]:
    """Build the answer of /version."""
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": f"python{platform.python_version()}",
        "platform": f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}",
    }


_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
