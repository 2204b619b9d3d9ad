"""The command `nanokube-cri`, also `python -m cri`: run the CRI server.

Without `--serve` the command becomes the keeper, which starts supervisor, log pump and this server, and
restarts whichever dies. With `--serve`, as the keeper calls it, or run as `python -m cri.main`, it is the
server itself. Either ends by SIGTERM; containers go on.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cri import config as configuration


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        config = configuration.load(options.config) if options.config else configuration.Config()
    except OSError as err:
        return _refuse(f"cannot read {options.config}: {err.strerror}")
    except configuration.ConfigError as err:
        return _refuse(str(err))
    if os.geteuid() != 0:
        return _refuse("needs root: namespaces, cgroups and mounts")
    _log_to_stderr(config.log_level)
    if options.serve:
        from cri.server import serve  # grpc starts threads: never before the keeper has forked

        serve.run(config)
        return 0
    keep(config, options.config)


def _refuse(cause: str) -> int:
    print(f"nanokube-cri: {cause}", file=sys.stderr)
    return 2


def keep(config: configuration.Config, path: Path | None) -> NoReturn:
    """Become the keeper of a server with this configuration. Raises OSError."""
    os.execv(sys.executable, [sys.executable, "-m", *keeper_arguments(config, path)])


def keeper_arguments(config: configuration.Config, path: Path | None) -> list[str]:
    """Return the keeper's module and arguments; after `--` comes what it runs as server. Pure."""
    keeper = ["cri.runtime.keeper", "--run-dir", str(config.run_dir), "--lib-dir", str(config.lib_dir)]
    server = [sys.executable, "-m", "cri", "--serve"]
    if path is not None:
        server += ["--config", str(path.absolute())]
    return [*keeper, "--foreground", "--", *server]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nanokube-cri", description="A container runtime behind CRI v1.")
    parser.add_argument("--config", type=Path, help="JSON file; every field has a default")
    parser.add_argument(
        "--serve", action="store_true", help="be the server, under a keeper that runs already"
    )
    return parser


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


if __name__ == "__main__":
    sys.exit(main([*sys.argv[1:], "--serve"]))
