"""Faults between a lab's nodes and in them: partitions, loss, delay, clocks. Pure, but for `inject`, `apply`.

Packets are dropped where they come in (netdev ingress, by the sender's link address), ARP and tunnels too, so
that a partition looks like a cut cable. Each node has one table, made anew at every change.
"""

import json
import sys
from collections.abc import Collection, Mapping
from concurrent import futures
from typing import Any, Final

from nanokube.lab import control, place

TABLE: Final = "nanokube_lab"
BEFORE_ALL: Final = -500  # priority of the ingress chain
INSIDE: Final = "nanokube.lab.inside"

Faults = dict[str, dict[str, Any]]


def cut(
    lab: place.Lab, faults: Faults, ones: Collection[str], others: Collection[str], *, one_way: bool = False
) -> Faults:
    """Add a partition between two groups; one_way: only what the first sends is lost. Pure.

    Raises LabError for a node that is not there, or in both groups, and for a group without nodes.
    """
    for name in (*ones, *others):
        lab.node(name)
    if not ones or not others:
        raise place.LabError("nobody is on the other side of this partition", "name fewer nodes")
    if both := set(ones) & set(others):
        raise place.LabError(f"{', '.join(sorted(both))} cannot be on both sides of a partition")
    made = {name: dict(of) for name, of in faults.items()}
    directions = [(ones, others)] if one_way else [(ones, others), (others, ones)]
    for senders, receivers in directions:
        for receiver in receivers:
            known = made.setdefault(receiver, {})
            known["blocked"] = sorted({*known.get("blocked", ()), *senders})
    return made


def healed(lab: place.Lab, faults: Faults, names: Collection[str] = ()) -> Faults:
    """Take all faults of the network away, or those to and from some nodes; clocks stay. Pure.

    Raises LabError for a node that is not there.
    """
    for name in names:
        lab.node(name)
    made: Faults = {}
    for name, of in faults.items():
        if not names or name in names:
            kept = {key: value for key, value in of.items() if key == "clock_s"}
        else:
            kept = {**of, "blocked": [each for each in of.get("blocked", ()) if each not in names]}
        made[name] = {key: value for key, value in kept.items() if value}
    return {name: of for name, of in made.items() if of}


def given(lab: place.Lab, faults: Faults, name: str, **values: float) -> Faults:
    """Set loss_percent, delay_ms or clock_s of a node. Raises LabError. Pure."""
    made = {**faults, lab.node(name).name: {**faults.get(name, {}), **values}}
    return {each: of for each, of in made.items() if any(of.values())}


def ruleset(lab: place.Lab, of: Mapping[str, Any]) -> str:
    """Render a node's table (nft): what it loses of what comes in. Pure."""
    lines = [f"table netdev {TABLE}", f"delete table netdev {TABLE}"]
    rules = [f"ether saddr {lab.node(each).mac} drop" for each in of.get("blocked", ())]
    if lost := of.get("loss_percent"):
        share = round(lost * 100)
        rules.append(f"numgen random mod 10000 < {share} drop" if share < 10000 else "drop")
    if rules:
        hook = f'type filter hook ingress device "{place.LINK}" priority {BEFORE_ALL};'
        lines += [f"table netdev {TABLE} {{", "chain lost {", hook, *rules, "}", "}"]
    return "\n".join(lines) + "\n"


def inject(lab: place.Lab, faults: Faults) -> None:
    """Put these faults in place of those that are. Raises LabError: not all of them are."""
    before = place.load_faults(lab)
    names = [
        node.name
        for node in control.refreshed(lab).nodes
        if node.pid and before.get(node.name) != faults.get(node.name)
    ]
    with futures.ThreadPoolExecutor(max(len(names), 1)) as pool:  # a cable is cut at one moment
        work = [pool.submit(apply, lab, name, faults.get(name, {}), before.get(name, {})) for name in names]
    for done in work:
        done.result()
    place.save_faults(lab, faults)


def apply(lab: place.Lab, name: str, of: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Put a node's faults into its kernel and its clock file. Raises LabError."""
    order = {
        "nft": ruleset(lab, of),
        # A kernel without netem is asked for it only if it must be.
        "delay_ms": of.get("delay_ms", 0) if of.get("delay_ms") != before.get("delay_ms") else None,
        "clock_s": of.get("clock_s", 0),
    }
    done = control.run(lab, name, [sys.executable, "-m", INSIDE], stdin=json.dumps(order), check=False)
    if done.returncode:
        raise place.LabError(f"node {name}: {' '.join(done.stderr.split())}")


def restore(lab: place.Lab, name: str) -> None:
    """Give a node that was switched on the faults it had."""
    if of := place.load_faults(lab).get(name):
        apply(lab, name, of, {})
