"""The command `nanokube-cri` and `python -m cri`: run the CRI server.

Without `--serve` the command becomes the keeper, which starts supervisor, log pump and this server, and
restarts whichever dies. With `--serve`, as the keeper calls it, it is the server itself.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from cri import config as configuration


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        config = configuration.load(options.config) if options.config else configuration.Config()
    except (OSError, configuration.ConfigError) as err:
        print(f"nanokube-cri: {err}", file=sys.stderr)
        return 2
    _log_to_stderr(config.log_level)
    if options.serve:
        from cri.server import serve  # grpc starts threads: never before the keeper has forked

        serve.run(config)
        return 0
    return keep(config, options.config)


def keep(config: configuration.Config, path: Path | None) -> int:
    """Become the keeper of a server with this configuration."""
    raise NotImplementedError


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
