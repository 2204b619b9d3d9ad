"""scripts/vm-lab: boots the machines, goes through the scenarios, and tells in a table what came of each.

Run in a network namespace of its own. A scenario that fails does not stop those after it, unless it is one
of the first two.
"""

import argparse
import importlib
import signal
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.vm import machine, scenarios
from scripts.vm.cluster import Lab, say
from scripts.vm.machine import LabError, Machine

Result = tuple[str, str, float]  # scenario, why it failed ("" if it did not), seconds

# The last words of what makes a node, and of what else fails there.
LOGS = """
systemctl --failed --no-pager --no-legend
for log in /var/log/nanokube/*.log; do echo "== $log"; tail -n 12 "$log"; done
echo "== journal of nanokube"; journalctl -u nanokube -n 20 --no-pager
echo "== journal"; journalctl -p warning -n 12 --no-pager
"""


def run(lab: Lab, chosen: Sequence[str]) -> list[Result]:
    """Run scenarios, those first that the others need."""
    results: list[Result] = []
    for name in scenarios.SCENARIOS:
        if name in (*scenarios.FIRST, *chosen):
            results.append(run_one(lab, name))
            if results[-1][1] and name in scenarios.FIRST:
                break
    return results


def run_one(lab: Lab, name: str, scenario: Callable[[Lab], None] | None = None) -> Result:
    """Run one scenario: that of this name if no other is given."""
    act = scenario or scenarios.SCENARIOS[name]
    say(f"{name}: {act.__doc__}")
    began, cause = time.monotonic(), ""
    try:
        act(lab)
    except LabError as err:
        cause = str(err)
        say(f"  FAILED: {cause}")
    took_s = time.monotonic() - began
    say(f"{name}: {'failed' if cause else 'passed'} ({took_s:.0f} s)")
    return name, cause, took_s


def tell(lab: Lab, results: Sequence[Result]) -> None:
    """Print the table, and what the nodes say if something failed."""
    if any(cause for _name, cause, _seconds in results):
        for what in (["get", "nodes,pods", "-A", "-o", "wide"], ["get", "events", "-A"]):
            try:
                say(f"kubectl {' '.join(what)}:\n{lab.kubectl(*what)[-4000:]}")
            except LabError as err:
                say(str(err))
        for each in lab.machines:
            say(f"{each.name}:\n{last_words(each)}")
    print(f"\n{'scenario':<16} {'seconds':>8}  result")
    for name, cause, seconds in results:
        print(
            f"{name:<16} {seconds:>8.0f}  {f'FAILED: {cause}'.splitlines()[0][:110] if cause else 'passed'}"
        )
    print(f"{'all':<16} {sum(seconds for _name, _cause, seconds in results):>8.0f}", flush=True)


def last_words(each: Machine) -> str:
    """Return a machine's logs; the end of its console if it takes no commands."""
    try:
        return each.attempt(LOGS, 60)[1]
    except LabError as err:
        return f"{err}; its console ends:\n{each.console.read_text(errors='replace')[-2000:]}"


def listen(lab: Lab) -> None:
    """Go on with what standard input says: a scenario's name, or a machine's and a command; until it ends."""
    machines = {each.name: each for each in lab.machines}
    say(f"standard input: a scenario ({', '.join(scenarios.SCENARIOS)}), MACHINE COMMAND, or run FILE")
    for line in sys.stdin:
        first, _space, command = line.strip().partition(" ")
        if first in machines:
            try:
                code, said = machines[first].attempt(command)
            except LabError as err:
                code, said = 1, str(err)
            say(f"{first} ({code}): {said}")
        elif first == "run":
            _run_file(lab, Path(command))
        elif first in scenarios.SCENARIOS:
            importlib.reload(scenarios)  # as it is written now
            run_one(lab, first)
        elif first:
            say(f"there is no scenario or machine called {first}")


def _run_file(lab: Lab, file: Path) -> None:
    try:
        run_one(lab, file.stem, importlib.reload(scenario_files()).scenario_of(file))
    except LabError as err:
        say(str(err))


def scenario_files() -> types.ModuleType:
    """Import what only --run needs: YAML, which a host's Python may lack. Raises LabError."""
    try:
        from scripts.vm import files
    except ModuleNotFoundError as err:
        raise LabError(
            f"a scenario file needs Python's {err.name}; hint: apt-get install python3-yaml"
        ) from err
    return files


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/vm-lab", description="a cluster of virtual machines, tested"
    )
    parser.add_argument("--servers", type=int, default=1, help="1, or 3 for a control plane on etcd")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=int, default=1536, help="of each machine, in MiB")
    parser.add_argument("--only", default=",".join(scenarios.SCENARIOS), help="scenarios: %(default)s")
    parser.add_argument(
        "--run", type=Path, metavar="FILE", help="a scenario file of `nanokube lab run` instead"
    )
    parser.add_argument(
        "--page", action="store_true", help="follow docs/many-nodes.md for real hosts, not scripts/provision"
    )
    parser.add_argument("--keep", action="store_true", help="leave disks and consoles")
    parser.add_argument("--resume", action="store_true", help="go on with disks that --keep left")
    parser.add_argument(
        "--listen", action="store_true", help="go on with scenarios that standard input names"
    )
    parser.add_argument("--place", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    found = parser.parse_args(arguments)
    if found.servers < 1 or found.workers < 1:
        parser.error("at least one server and one worker")
    if unknown := set(found.only.split(",")) - set(scenarios.SCENARIOS):
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}")
    if found.resume and not (found.place / "base.img").exists():
        parser.error(f"there is no lab in {found.place} to go on with; --keep leaves one")
    if found.run:
        try:
            scenario_files()
        except LabError as err:
            parser.error(str(err))
        if not found.run.is_file():
            parser.error(f"there is no file {found.run}")
    return found


def chosen(options: argparse.Namespace) -> Sequence[str]:
    """Return the scenarios to run: those asked for that such a lab can go through. Pure."""
    without = set()
    if options.servers < 3:  # two have no majority when one dies
        without.add("server-killed")
    if options.page:  # scripts/provision has not been there, nor what it was told
        without |= {"again", "graceful"}
    asked = ["nodes"] if options.run else options.only.split(",")
    return [name for name in asked if name not in without]


def main(arguments: Sequence[str]) -> int:
    """Run the lab; whatever happens, its machines end."""
    options = parse(arguments)
    if options.check:  # before minutes are spent on the image
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        how, why = machine.acceleration(machine.kernel_of(options.place))
        machine.make_link()
    except LabError as err:
        print(f"vm-lab: {err}", file=sys.stderr)
        return 1
    machines = [
        Machine(name, role, number, options.place, options.memory, how, has_nat=not options.page)
        for name, role, number in machine.roster(options.servers, options.workers)
    ]
    if why:
        say(f"{why}: the machines are emulated, which is slower")
    say(f"{len(machines)} machines of {options.memory} MiB ({how})")
    lab = Lab(machines, machines[0], resumes=options.resume, by_page=options.page)
    try:
        results = run(lab, chosen(options))
        if options.run and not any(cause for _name, cause, _seconds in results):
            results.append(run_one(lab, options.run.stem, scenario_files().scenario_of(options.run)))
        tell(lab, results)
        if options.listen:
            listen(lab)
    except KeyboardInterrupt:
        say("interrupted: switching the machines off")
        return 130
    finally:
        for each in machines:
            each.close()
            if not options.keep:
                (options.place / f"{each.name}.qcow2").unlink(missing_ok=True)
    return 1 if any(cause for _name, cause, _seconds in results) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
