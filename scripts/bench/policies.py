#!/usr/bin/env python3
"""What a thousand admission policies cost a CREATE of a Pod: prints rates and their ratios to none.

    .venv/bin/python scripts/bench/policies.py [--count N] [--seconds S] [--rounds R] [--only ROW...]

Each row has a server of its own, on loopback with its state in a temporary directory. They are measured in
turn, R times S seconds each, and the median counts. All servers share one core, of which only the measured
one has something to do; the client has another. The CPU time of a CREATE says the same where others use the
machine. In front of that: how long the first CREATE took, for which everything is compiled, and the longest
that other requests waited meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from scripts.bench import apiserver, load

_ROOT = "/apis/admissionregistration.k8s.io/v1"
NONE = "no policies"
Condition = Callable[[int], str]


def main() -> None:
    """Start the servers, make their policies, measure in turn and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="policies of each row")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure, by the start of their names")
    options = parser.parse_args()
    split = len(os.sched_getaffinity(0)) > 1
    first, *others = sorted(os.sched_getaffinity(0))
    server_cpus, client_cpus = (
        (frozenset({first}), frozenset(others[:1])) if split else (frozenset[int](), frozenset[int]())
    )
    chosen = [name for name in rows() if name == NONE or name.startswith(tuple(options.only or [""]))]
    rates: dict[str, list[float]] = {name: [] for name in chosen}
    costs: dict[str, list[float]] = {name: [] for name in chosen}
    firsts: dict[str, tuple[float, float]] = {}
    apiserver.end_once()
    with tempfile.TemporaryDirectory(prefix="nkp-") as scratch, contextlib.ExitStack() as stack:
        servers = {}
        for number, name in enumerate(chosen):
            folder = Path(scratch, str(number))
            folder.mkdir()
            server = stack.enter_context(apiserver.nanokube(apiserver.prepare(folder), server_cpus))
            prepare(server.target, name, options.count)
            firsts[name] = first_creation(server.target)
            servers[name] = server
        for turn in range(-1, options.rounds):  # the first is to warm up
            for name, server in servers.items():
                source = apiserver.creations(server.target)
                server.begin()
                outcome = load.Load(server.target, [source], 16, options.seconds, client_cpus).run()
                assert not outcome.errors, outcome.first_error
                if turn >= 0:
                    rates[name].append(outcome.rate)
                    costs[name].append((server.cpu() - server.began) / len(outcome.latencies))
    show(rates, costs, firsts)


def first_creation(target: load.Target) -> tuple[float, float]:
    """Measure the first CREATE, and the longest of the GETs that are sent meanwhile, in seconds."""
    user = load.Target(target.port, target.ca, "admin")
    asking, creating = user.connect(), target.connect()
    is_done, waits = threading.Event(), list[float]()

    def ask() -> None:
        while not is_done.is_set():
            began = time.perf_counter()
            asking.exchange(user.request("GET", "/api/v1/namespaces/made"))
            waits.append(time.perf_counter() - began)

    asker = threading.Thread(target=ask)
    asker.start()
    time.sleep(0.1)
    waits.clear()
    began = time.perf_counter()
    request = apiserver.creations(target)()
    assert request is not None
    code, answer = creating.exchange(request)
    took = time.perf_counter() - began
    is_done.set()
    asker.join()
    assert code == 201, answer
    return took, max(waits)


def show(
    rates: dict[str, list[float]], costs: dict[str, list[float]], firsts: dict[str, tuple[float, float]]
) -> None:
    """Print a line a row. costs: seconds of CPU time. firsts: seconds."""
    base, least = statistics.median(rates[NONE]), statistics.median(costs[NONE])
    for name, found in rates.items():
        rate, cost = statistics.median(found), statistics.median(costs[name])
        spread = (max(found) - min(found)) / rate
        by_rate = f"{rate:7.0f}/s  {rate / base:5.2f}  (spread {spread:.0%})"
        began = "{:5.0f} ms {:4.0f} ms".format(*(1e3 * each for each in firsts[name]))
        print(f"{name:48} {began}  {by_rate:30} {cost * 1e6:6.0f} us  {least / cost:5.2f}")


def rows() -> dict[str, tuple[str, Condition] | None]:
    """Name what is compared: which resource the policies are about, and their match conditions."""
    return {
        NONE: None,
        "about other resources": ("deployments", lambda n: f"object.metadata.name == 'web-{n}'"),
        "false: the same expression": ("pods", lambda n: "size(object.metadata.name) > 200"),
        "false: the same pattern": ("pods", lambda n: "object.metadata.name.matches('^nobody-.*$')"),
        "false: a label each": (
            "pods",
            lambda n: f"has(object.metadata.labels) && object.metadata.labels['app'] == 'web-{n}'",
        ),
        "false: a user each": ("pods", lambda n: f"request.userInfo.username in ['user-{n}', 'other-{n}']"),
        "false: a prefix each": ("pods", lambda n: f"object.metadata.name.startsWith('web-{n}-')"),
        "false: what must be evaluated, each its own": (
            "pods",
            lambda n: f"object.spec.containers.exists(c, c.image == 'registry.example.com/web:{n}')",
        ),
        "false: a pattern each": ("pods", lambda n: f"object.metadata.name.matches('^web-{n}-.*$')"),
        "false: a registry each": (
            "pods",
            lambda n: f"object.spec.containers.all(c, c.image.startsWith('registry-{n}/'))",
        ),
        "false: a variable and its text each": (
            "pods",
            lambda n: (
                "object.spec.containers.exists(c, has(c.env) && "
                f"c.env.exists(e, e.name == 'SETTING_{n + 100}' && e.value.contains('x{n}')))"
            ),
        ),
        "false: an annotation each": (
            "pods",
            lambda n: f"object.metadata.?annotations[?'example.com/a{n}'].orValue('') != ''",
        ),
        "false: what only the runtime knows": (
            "pods",
            lambda n: f"object.spec.containers.map(c, c.image + '{n}').exists(i, i == 'web')",
        ),
        "false: a comparison each": ("pods", lambda n: f"size(object.metadata.name) > {n + 200}"),
    }


def prepare(target: load.Target, name: str, count: int) -> None:
    """Make the namespace, what its Pods need, and the policies of a row."""
    apiserver.allow(target)
    admin = load.Target(target.port, target.ca, "admin")
    made: list[tuple[str, dict[str, object]]] = [
        ("/api/v1/namespaces", {"metadata": {"name": "made"}}),
        ("/api/v1/namespaces/made/serviceaccounts", {"metadata": {"name": "default"}}),
    ]
    row = rows()[name]
    if row is not None:
        resource, condition = row
        apiserver.say(f"{name}: {count} policies")
        for number in range(count):
            made += policy(number, resource, condition(number))
    connection = admin.connect()
    for path, obj in made:
        code, answer = connection.exchange(admin.request("POST", path, apiserver.dump(obj)))
        assert code == 201, answer


def policy(number: int, resource: str, condition: str) -> list[tuple[str, dict[str, object]]]:
    """Make a policy with its binding."""
    name = f"policy-{number}"
    rule = {
        "apiGroups": ["apps" if resource == "deployments" else ""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "which", "expression": condition}],
        "validations": [{"expression": "object.spec.containers.all(c, has(c.resources))"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    path = f"{_ROOT}/validatingadmissionpolic"
    return [
        (f"{path}ies", {"metadata": {"name": name}, "spec": spec}),
        (f"{path}ybindings", {"metadata": {"name": name}, "spec": binding}),
    ]


if __name__ == "__main__":
    main()
