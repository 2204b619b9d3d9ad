"""How long a node thinks about NetworkPolicies: 1,000 policies, 1,000 Pods of which 100 are its own."""

import statistics
import time
from typing import Any

from nanokube.netpol import plan, pods, policy, ruleset

COUNT = 1000


def pod(number: int, labels: dict[str, str]) -> dict[str, Any]:
    ip = f"10.244.{number // 250}.{number % 250 + 1}"
    return {
        "metadata": {"namespace": f"ns{number % 20}", "name": f"pod{number}", "uid": ip, "labels": labels},
        "spec": {"nodeName": f"node{number // 100}"},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    }


def netpol(number: int) -> dict[str, Any]:
    """Return a policy for the Pods of an application; its peers are another one, here and elsewhere."""
    app, peer = {"app": f"a{number % 50}"}, {"app": f"a{number % 49}"}
    rule = {
        "from": [
            {"podSelector": {"matchLabels": peer}},
            {"namespaceSelector": {"matchLabels": {"n": str(number)}}},
        ],
        "ports": [{"port": 80 + number % 5}],
    }
    spec = {"podSelector": {"matchLabels": app}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return {"metadata": {"namespace": f"ns{number % 20}", "name": f"p{number}"}, "spec": spec}


def main() -> None:
    """Print milliseconds of a core."""
    known = plan.Planner("node3")
    began = time.process_time()
    for number in range(20):
        known.set_namespace(f"ns{number}", {"n": str(number)})
    for number in range(COUNT):
        known.set_pod(pods.read(pod(number, {"app": f"a{number % 50}"})))
        known.set_policy(f"ns{number % 20}/p{number}", policy.read(netpol(number)))
    shown = known.plan()
    text = ruleset.everything(shown)
    print(f"at first: {(time.process_time() - began) * 1000:.0f} ms, {len(text.splitlines())} lines of nft")
    took = []
    for number in range(100):
        began = time.process_time()
        known.set_pod(pods.read(pod(300 + number, {"app": f"a{number % 50}", "changed": "yes"})))
        wanted = known.plan()
        text = ruleset.changes(shown, wanted)
        took.append((time.process_time() - began) * 1000)
        shown = wanted
    print(f"a Pod that changes: {statistics.median(took):.1f} ms, at most {max(took):.1f} ms")


if __name__ == "__main__":
    main()
