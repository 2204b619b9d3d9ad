"""Who may talk to whom, judged by reading the rules as the kernel would."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

import pytest

from nanokube.api.objects import Object
from nanokube.netpol import plan, pods, policy, ruleset
from nanokube.netpol.ruleset import Ruleset

ADDRESSES = {
    "x/a": "10.244.0.1",
    "x/b": "10.244.0.2",
    "x/c": "10.244.1.3",
    "y/a": "10.244.0.4",
    "y/b": "10.244.1.5",
    "z/a": "10.244.0.6",
}
LOCAL = "n1"
OUTSIDE = "192.0.2.7"


def pod(key: str, ip: str = "", /, **changes: Any) -> dict[str, Any]:
    namespace, _, name = key.partition("/")
    ip = ip or ADDRESSES[key]
    container = {
        "ports": [
            {"name": "web", "containerPort": 80},
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        ]
    }
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": key, "labels": {"pod": name}},
        "spec": {"nodeName": LOCAL if ip.startswith("10.244.0.") else "n2", "containers": [container]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}], **changes},
    }


def planner(*policies: Object, everyone: "tuple[Object, ...] | None" = None) -> plan.Planner:
    """Return what knows of three namespaces and the Pods in them."""
    made = plan.Planner(LOCAL)
    for name in ("x", "y", "z"):
        made.set_namespace(name, {"ns": name})
    for each in everyone if everyone is not None else tuple(pod(key) for key in ADDRESSES):
        made.set_pod(pods.read(each))
    for index, each in enumerate(policies):
        made.set_policy(f"{each['metadata']['namespace']}/p{index}", policy.read(each))
    return made


def netpol(namespace: str = "x", /, **spec: Any) -> Object:
    types = [name for name in ("Ingress", "Egress") if name.lower() in spec]
    return {"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, "policyTypes": types, **spec}}


def is_allowed(rules: Ruleset, source: str, target: str, port: int = 80, protocol: str = "tcp") -> bool:
    """Judge the first packet of a connection."""
    source, target = ADDRESSES.get(source, source), ADDRESSES.get(target, target)
    suffix = "6" if ":" in target else ""
    if f"{source} . {target}" in rules.maps.get(f"self{suffix}", {}):
        return True
    for name, ip in (("egress", source), ("ingress", target)):
        jump = rules.maps.get(f"{name}{suffix}", {}).get(ip)
        if jump is not None:
            chain = rules.chains[jump.removeprefix("jump ")]
            verdicts = (each for each in chain if _matches(rules, each, source, target, port, protocol))
            if next(verdicts).endswith("drop"):
                return False
    return True


def _matches(rules: Ruleset, rule: str, source: str, target: str, port: int, protocol: str) -> bool:
    values = {"saddr": source, "daddr": target}
    ip, other = ("ip6", "ip ") if ":" in target else ("ip", "ip6 ")
    if rule.startswith(other):
        return False
    tests: dict[str, Callable[[re.Match[str]], bool]] = {
        rf"{ip} daddr \. (\w+) dport @(\S+) ": lambda m: (
            m[1] == protocol and f"{target} . {port}" in rules.sets[m[2]].elements
        ),
        rf"{ip} ([sd]addr) @(\S+) ": lambda m: values[m[1]] in rules.sets[m[2]].elements,
        rf"{ip} ([sd]addr) {{ (.*?) }} ": lambda m: _is_in(values[m[1]], m[2]),
        r"meta l4proto (\w+) ": lambda m: m[1] == protocol,
        r"(\w+) dport { (.*?) } ": lambda m: m[1] == protocol and _is_port(port, m[2]),
    }
    for pattern, test in tests.items():
        if found := re.match(pattern, rule):
            if not test(found):
                return False
            rule = rule[found.end() :]
    assert rule in ("return", "drop"), rule
    return True


def _is_in(address: str, ranges: str) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in ranges.split(", "))


def _is_port(port: int, ranges: str) -> bool:
    return any(int(each.split("-")[0]) <= port <= int(each.split("-")[-1]) for each in ranges.split(", "))


def test_without_policies_there_is_nothing() -> None:
    rules = planner().plan()
    assert (rules.maps, rules.chains, rules.sets) == ({}, {}, {})


# policy; who is asked, by whom, allowed; who, by whom, refused
B = {"podSelector": {"matchLabels": {"pod": "b"}}}
CASES: dict[str, tuple[Object, list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "nobody": (netpol(ingress=[]), [("x/a", "y/a")], [("y/a", "x/a"), ("x/b", "x/a"), (OUTSIDE, "x/a")]),
    "whoever": (netpol(ingress=[{}]), [("y/a", "x/a"), (OUTSIDE, "x/a")], []),
    "who is not selected is free": (
        netpol(podSelector=B["podSelector"], ingress=[]),
        [("y/a", "x/a")],
        [("y/a", "x/b")],
    ),
    "Pods of the own namespace": (
        netpol(ingress=[{"from": [B]}]),
        [("x/b", "x/a")],
        [("x/c", "x/a"), ("y/b", "x/a")],
    ),
    "all of the own namespace": (
        netpol(ingress=[{"from": [{"podSelector": {}}]}]),
        [("x/c", "x/a")],
        [("y/b", "x/a")],
    ),
    "namespaces": (
        netpol(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]),
        [("y/a", "x/a"), ("y/b", "x/a")],
        [("x/b", "x/a"), ("z/a", "x/a")],
    ),
    "Pods of namespaces": (
        netpol(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}, **B}]}]),
        [("y/b", "x/a")],
        [("y/a", "x/a"), ("x/b", "x/a")],
    ),
    "either": (
        netpol(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}, B]}]),
        [("y/a", "x/a"), ("x/b", "x/a")],
        [("x/c", "x/a"), ("z/a", "x/a")],
    ),
    "expressions": (
        netpol(
            ingress=[
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["x", "z"]}]
                            }
                        }
                    ]
                }
            ]
        ),
        [("y/a", "x/a")],
        [("x/b", "x/a"), ("z/a", "x/a")],
    ),
    "ranges": (
        netpol(ingress=[{"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.0.0/24"]}}]}]),
        [("x/c", "x/a"), ("y/b", "x/a")],
        [("x/b", "x/a"), (OUTSIDE, "x/a")],
    ),
    "everything but a range": (
        netpol(egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]),
        [("x/a", OUTSIDE), ("y/a", "x/a")],
        [("x/a", "y/b"), ("x/a", "x/b")],
    ),
    "ports": (
        netpol(
            ingress=[{"ports": [{"port": 81}, {"port": 443, "endPort": 450}, {"port": 445, "endPort": 460}]}]
        ),
        [("y/a", "x/a", 81), ("y/a", "x/a", 443), ("y/a", "x/a", 460)],
        [("y/a", "x/a", 80), ("y/a", "x/a", 461), ("y/a", "x/a", 81, "udp")],
    ),
    "protocols": (
        netpol(ingress=[{"ports": [{"protocol": "UDP"}, {"protocol": "SCTP", "port": 80}]}]),
        [("y/a", "x/a", 1, "udp"), ("y/a", "x/a", 80, "sctp")],
        [("y/a", "x/a", 80), ("y/a", "x/a", 81, "sctp")],
    ),
    "a port by name": (
        netpol(ingress=[{"ports": [{"port": "web"}]}]),
        [("y/a", "x/a", 80)],
        [("y/a", "x/a", 81), ("y/a", "x/a", 53, "udp")],
    ),
    "a port by a name of another protocol": (
        netpol(ingress=[{"ports": [{"port": "dns"}]}]),
        [],
        [("y/a", "x/a", 53), ("y/a", "x/a", 53, "udp"), ("y/a", "x/a", 80)],
    ),
    "a port by name, outwards": (
        netpol(egress=[{"ports": [{"port": "web"}, {"port": "dns", "protocol": "UDP"}]}]),
        [("x/a", "y/b"), ("x/a", "y/b", 53, "udp")],
        [("x/a", "y/b", 81), ("x/a", OUTSIDE, 80), ("x/a", "y/b", 53)],
    ),
    "a peer's port by name": (
        netpol(egress=[{"to": [B], "ports": [{"port": "web"}, {"port": 99}]}]),
        [("x/a", "x/b"), ("x/a", "x/b", 99)],
        [("x/a", "x/c"), ("x/a", "y/b"), ("x/a", "x/c", 99), ("x/a", "x/b", 98)],
    ),
    "both directions": (
        netpol(
            ingress=[{"from": [B]}], egress=[{"to": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]
        ),
        [("x/a", "y/a")],
        [("x/b", "x/a"), ("y/a", "x/a"), ("x/a", "x/b")],
    ),
    "oneself, by a Service": (netpol(ingress=[], egress=[]), [("x/a", "x/a")], [("x/a", "x/b")]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_policy_allows(name: str) -> None:
    rule, allowed, refused = CASES[name]
    rules = planner(rule).plan()
    assert [each for each in allowed if not is_allowed(rules, *each)] == []
    assert [each for each in refused if is_allowed(rules, *each)] == []


def test_policies_add_up() -> None:
    rules = planner(
        netpol(ingress=[{"ports": [{"port": 80}]}]),
        netpol(ingress=[{"from": [B]}]),
        netpol(podSelector={"matchLabels": {"pod": "b"}}, egress=[]),
    ).plan()
    assert is_allowed(rules, "y/a", "x/a", 80)
    assert not is_allowed(rules, "y/a", "x/a", 81)
    assert is_allowed(rules, "x/c", "x/b", 80)
    assert not is_allowed(rules, "x/b", "x/a", 80), "the sender may not"
    open_ = planner(netpol(ingress=[]), netpol(ingress=[{}])).plan()
    assert is_allowed(open_, OUTSIDE, "x/a")


def test_types_that_are_not_told_follow_from_the_rules() -> None:
    spec = {"podSelector": {}, "egress": [{"to": [B]}]}
    read = policy.read({"metadata": {"namespace": "x"}, "spec": spec})
    assert read.ingress == ()
    assert read.egress is not None
    assert policy.read({"metadata": {"namespace": "x"}, "spec": {"podSelector": {}}}).egress is None


def test_a_node_has_rules_for_its_own_pods_only() -> None:
    rules = planner(netpol(ingress=[{"from": [B]}])).plan()
    assert set(rules.maps["ingress"]) == {ADDRESSES["x/a"], ADDRESSES["x/b"]}
    assert len(rules.chains) == 1, "Pods of a kind share a chain"
    assert [each.elements for each in rules.sets.values()] == [{ADDRESSES["x/b"]}]
    assert planner(netpol(ingress=[{"from": [B]}]), everyone=(pod("x/c"),)).plan() == ruleset.EMPTY


@pytest.mark.parametrize(
    "gone",
    [
        pod("x/b", phase="Succeeded"),
        pod("x/b", podIPs=[]),
        {**pod("x/b"), "spec": {"nodeName": LOCAL, "hostNetwork": True}},
    ],
    ids=["ended", "without address", "of the host's network"],
)
def test_some_pods_have_no_address_of_their_own(gone: Object) -> None:
    rules = planner(netpol(ingress=[{"from": [B]}]), everyone=(pod("x/a"), gone)).plan()
    assert not is_allowed(rules, "x/b", "x/a")
    assert ADDRESSES["x/b"] not in rules.maps["ingress"]


def test_pods_come_go_and_change() -> None:
    known = planner(netpol(ingress=[{"from": [{**B, "namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]))
    assert is_allowed(known.plan(), "y/b", "x/a")
    assert not known.set_pod(pods.read(pod("y/b"))), "what a policy does not ask for is no change"
    changed = pod("y/b")
    changed["metadata"]["labels"] = {"pod": "c"}
    assert known.set_pod(pods.read(changed))
    assert not is_allowed(known.plan(), "y/b", "x/a")
    known.set_pod(pods.read(pod("y/b")))
    assert is_allowed(known.plan(), "y/b", "x/a")
    known.set_namespace("y", {"ns": "other"})
    assert not is_allowed(known.plan(), "y/b", "x/a")
    known.set_namespace("z", {"ns": "y"})
    known.set_pod(pods.read(pod("z/b", "10.244.1.9")))
    assert is_allowed(known.plan(), "10.244.1.9", "x/a")
    known.remove_pod(pods.read(pod("z/b", "10.244.1.9")))
    assert not is_allowed(known.plan(), "10.244.1.9", "x/a")
    known.set_policy("x/p0", None)
    assert known.plan() == ruleset.EMPTY


def test_a_pod_has_its_rules_before_the_api_knows_its_address() -> None:
    known = planner(netpol(ingress=[]), everyone=(pod("x/a", podIPs=[]),))
    assert known.attach(pods.read(pod("x/a")))
    assert not known.attach(pods.read(pod("x/a"))), "once is enough"
    assert not is_allowed(known.plan(), OUTSIDE, "x/a")
    known.remove_pod(pods.read(pod("x/a")))
    assert known.plan() == ruleset.EMPTY


def test_an_address_is_the_latest_pods() -> None:
    known = planner(netpol("x", ingress=[]))
    taken = pods.read(pod("y/new", ADDRESSES["x/a"]))
    known.attach(taken)
    assert is_allowed(known.plan(), OUTSIDE, "x/a"), "its former owner's rules are not the new one's"
    known.remove_pod(pods.read(pod("x/a")))
    assert is_allowed(known.plan(), OUTSIDE, "x/a")


def test_an_older_pod_of_the_name_takes_nothing_away() -> None:
    known = planner(netpol(ingress=[]), everyone=(pod("x/a", "10.244.0.99"),))
    known.attach(pods.read({**pod("x/a"), "metadata": {**pod("x/a")["metadata"], "uid": "new"}}))
    known.remove_pod(pods.read(pod("x/a", "10.244.0.99")))
    assert set(known.plan().maps["ingress"]) == {ADDRESSES["x/a"]}


def test_a_name_that_went_to_another_node_is_there() -> None:
    known = planner(netpol(ingress=[{"from": [B]}]), everyone=(pod("x/a"),))
    known.attach(pods.read(pod("x/b")))
    moved = pod("x/b", "10.244.1.9")
    moved["metadata"]["uid"] = "new"
    known.set_pod(pods.read(moved))
    assert is_allowed(known.plan(), "10.244.1.9", "x/a")
    assert not is_allowed(known.plan(), "x/b", "x/a")


def test_both_families() -> None:
    two = {"podIPs": [{"ip": "10.244.0.1"}, {"ip": "fd00::1"}]}
    other = {"podIPs": [{"ip": "10.244.0.2"}, {"ip": "fd00::2"}]}
    block = {"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8::/48"]}}
    rules = planner(
        netpol(ingress=[{"from": [B, block]}]), everyone=(pod("x/a", **two), pod("x/b", **other))
    ).plan()
    assert is_allowed(rules, "fd00::2", "fd00::1")
    assert is_allowed(rules, "10.244.0.2", "10.244.0.1")
    assert is_allowed(rules, "2001:db8:1::1", "fd00::1")
    assert not is_allowed(rules, "2001:db8::1", "fd00::1")
    assert not is_allowed(rules, "fd00::3", "fd00::1")


def test_an_agent_keeps_of_a_pod_what_counts() -> None:
    full = pod("x/a")
    full["spec"]["initContainers"] = [
        {"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 9}]},
        {"ports": [{"name": "first", "containerPort": 8}]},
    ]
    full["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": "secret"}]
    read = pods.read(full)
    assert (read.port("tcp", "side"), read.port("tcp", "first")) == (9, None)
    trimmed = pods.trim(full)
    assert pods.read(trimmed) == read
    assert "secret" not in str(trimmed)
