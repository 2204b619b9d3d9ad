"""Fuzz the API by its own OpenAPI: no 500, no hang, no lost write, every error a Status.

.venv/bin/python -m scripts.fuzz [--count N] [--seed S] [--memory]

The same seed draws the same requests of each worker; how four workers interleave depends on the disk, with
`--memory` on nothing. A request that fails is printed whole.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import sys
import time

from scripts.fuzz.run import fuzz


def main() -> int:
    """Run, print what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(description="Fuzz the API server by its own OpenAPI.")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="keep the state in memory rather than on disk")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    started = time.monotonic()

    def progress(done: int) -> None:
        faulthandler.dump_traceback_later(60, exit=True)  # a hang that holds the loop
        rate = done / (time.monotonic() - started)
        print(f"\r{done}/{options.count} requests, {rate:.0f}/s", end="", file=sys.stderr, flush=True)

    progress(0)
    report = asyncio.run(fuzz(options.seed, options.count, on_disk=not options.memory, on_progress=progress))
    print(file=sys.stderr)
    for fault in report.faults:
        print(fault)
    codes = " ".join(f"{code}:{count}" for code, count in sorted(report.codes.items()))
    print(f"seed {options.seed}: {len(report.faults)} faults; {codes}; {report.objects} objects, "
          f"{report.events} events; slowest {report.slowest_s:.2f} s: {report.slowest[:200]}")  # fmt: skip
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
