"""Whatever came, changed and went: the rules are those of a planner that hears only how it ended."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import pytest

from nanokube.netpol import plan, pods, policy, ruleset

NAMESPACES = ("x", "y", "z")
LOCAL = "n1"
TEAMS = ("a", "b")


class World:
    """Objects that come and go, told to a planner as they do."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.planner = plan.Planner(LOCAL)
        self.namespaces: dict[str, dict[str, str]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self._addresses = itertools.count(1)

    def step(self) -> None:
        """Change something."""
        key = f"{self.draw.choice(NAMESPACES)}/{self.draw.randrange(6)}"
        self.draw.choice((self._namespace, self._policy, self._pod, self._pod, self._relabel))(key)

    def _namespace(self, key: str) -> None:
        name = key[0]
        if name in self.namespaces and self.draw.random() < 0.3:
            del self.namespaces[name]
            self.planner.set_namespace(name, None)
        else:
            self.namespaces[name] = {"team": self.draw.choice(TEAMS)}
            self.planner.set_namespace(name, self.namespaces[name])

    def _policy(self, key: str) -> None:
        if key in self.policies and self.draw.random() < 0.6:
            del self.policies[key]
            self.planner.set_policy(key, None)
            return
        self.policies[key] = self._new_policy(key[0])
        self.planner.set_policy(key, policy.read(self.policies[key]))

    def _new_policy(self, namespace: str) -> dict[str, Any]:
        def rule(name: str) -> dict[str, Any]:
            found: dict[str, Any] = {}
            if self.draw.random() < 0.8:
                found[name] = [self._peer() for _ in range(self.draw.randrange(1, 3))]
            if self.draw.random() < 0.5:
                found["ports"] = [self.draw.choice(({"port": 80}, {"port": "web"}, {"protocol": "UDP"}))]
            return found

        spec = {
            "podSelector": self.draw.choice(({}, self._labels())),
            "policyTypes": self.draw.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
            "ingress": [rule("from") for _ in range(self.draw.randrange(3))],
            "egress": [rule("to") for _ in range(self.draw.randrange(3))],
        }
        return {"metadata": {"namespace": namespace}, "spec": spec}

    def _labels(self) -> dict[str, Any]:
        return {"matchLabels": {"team": self.draw.choice(TEAMS)}}

    def _peer(self) -> dict[str, Any]:
        block = {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/24"]}
        return self.draw.choice(
            (
                {"podSelector": self._labels()},
                {"podSelector": {}, "namespaceSelector": self._labels()},
                {"namespaceSelector": {}},
                {"ipBlock": block},
            )
        )

    def _pod(self, key: str) -> None:
        present = self.pods.get(key)
        if present is None:
            self.pods[key] = self._new_pod(key)
            self._tell(key, attaches=self.draw.random() < 0.7)
        elif self.draw.random() < 0.3:
            present["status"] = {**present["status"], "phase": "Succeeded"}
            self._tell(key)
        else:
            self.planner.remove_pod(pods.read(self.pods.pop(key)))

    def _relabel(self, key: str) -> None:
        if key in self.pods:
            present = self.pods[key]
            present["metadata"] = {**present["metadata"], "labels": {"team": self.draw.choice(TEAMS)}}
            self._tell(key)

    def _tell(self, key: str, *, attaches: bool = False) -> None:
        read = pods.read(self.pods[key])
        if attaches and read.node == LOCAL:
            self.planner.attach(read)
        self.planner.set_pod(read)

    def _new_pod(self, key: str) -> dict[str, Any]:
        namespace, _, name = key.partition("/")
        node, number = self.draw.choice((LOCAL, "n2")), next(self._addresses)
        port = {"name": "web", "containerPort": self.draw.choice((80, 8080))}
        ips = [{"ip": f"10.244.{number >> 8}.{number & 255}"}, {"ip": f"fd00::{number:x}"}]
        return {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"{number}",
                "labels": {"team": self.draw.choice(TEAMS)},
            },
            "spec": {"nodeName": node, "containers": [{"ports": [port]}]},
            "status": {"phase": "Running", "podIPs": ips[: self.draw.randrange(1, 3)]},
        }

    def fresh(self) -> ruleset.Ruleset:
        """Plan from what there is now."""
        made = plan.Planner(LOCAL)
        for key, each in self.policies.items():
            made.set_policy(key, policy.read(each))
        for pod in self.pods.values():
            made.set_pod(pods.read(pod))
        for name, labels in self.namespaces.items():
            made.set_namespace(name, labels)
        return made.plan()


class Kernel:
    """What the commands leave, kept as strictly as nftables does."""

    def __init__(self) -> None:
        self.elements: dict[str, dict[str, str]] = {}
        self.chains: dict[str, list[str]] = {}

    def run(self, commands: str) -> None:
        for line in commands.splitlines():
            verb, what, rest = re.fullmatch(rf"(\w+) (\w+) {ruleset.TABLE} (.*)", line).groups()  # type: ignore[union-attr]
            name, _, body = rest.partition(" ")
            if what == "element":
                self._element(verb, name, body.strip("{} ").split(", "))
            elif what == "rule":
                self.chains[name].append(body)
            elif (verb, what) == ("add", "chain"):
                assert name not in self.chains
                self.chains[name] = []
            elif (verb, what) == ("delete", "chain"):
                assert all(f"jump {name}" not in held.values() for held in self.elements.values())
                del self.chains[name]
            elif verb == "add":
                assert name not in self.elements
                self.elements[name] = {}
            else:
                assert not any(f"@{name} " in f"{rule} " for rules in self.chains.values() for rule in rules)
                del self.elements[name]

    def _element(self, verb: str, name: str, elements: list[str]) -> None:
        held = self.elements.setdefault(name, {})
        for each in elements:
            key, _, value = each.partition(" : ")
            if verb == "add":
                assert key not in held
                held[key] = value
            else:
                del held[key]

    def content(self) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
        return {name: held for name, held in self.elements.items() if held}, self.chains


@pytest.mark.parametrize("seed", range(3))
def test_rules_follow_from_how_it_ended(seed: int) -> None:
    world, kernel, shown = World(random.Random(seed)), Kernel(), ruleset.EMPTY
    is_any = False
    for _ in range(100):
        for _ in range(world.draw.randrange(1, 5)):
            world.step()
        wanted, fresh = world.planner.plan(), world.fresh()
        assert wanted == fresh
        kernel.run(ruleset.changes(shown, wanted))
        kernel.run(ruleset.removals(shown, wanted))
        shown, anew = wanted, Kernel()
        anew.run(ruleset.changes(ruleset.EMPTY, fresh))
        assert kernel.content() == anew.content()
        is_any = is_any or bool(wanted.sets)
    assert is_any
