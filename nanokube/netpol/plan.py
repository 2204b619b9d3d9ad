"""From policies, Pods and namespaces to the rules that one node needs. Pure, kept between changes.

Only the node's own Pods have chains, and only what those look into has a set. Who is in a set is kept as Pods
come and go, so that a change costs a look at each set rather than at each Pod.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nanokube.netpol import rules, ruleset
from nanokube.netpol.pods import Pod
from nanokube.netpol.policy import Peer, Policy, Rule
from nanokube.netpol.ruleset import Ruleset, Set

Labels = Mapping[str, str]
# what tells Pods of one namespace apart that policies may treat differently
_Kind = tuple[object, ...]
# egress, ingress: the chain, or None if the direction is not restricted
_Chains = tuple[rules.Chain | None, rules.Chain | None]


class _Group:
    """The Pods that a peer means."""

    def __init__(self, peer: Peer, pods: Iterable[Pod]) -> None:
        self.peer = peer
        self.pods = {each.key: each for each in pods}
        self.sets: dict[str, Set] = {}

    def put(self, key: str, pod: Pod | None) -> None:
        """Take a Pod in, or out."""
        if self.pods.get(key) == pod:
            return
        if pod is None:
            del self.pods[key]
        else:
            self.pods[key] = pod
        self.sets.clear()

    def set_of(self, members: rules.Members) -> Set:
        """Write a set; the same object as before if nothing changed."""
        found = self.sets.get(members.name)
        if found is None:
            found = Set(members.type, frozenset(_elements(members, self.pods.values())))
            self.sets[members.name] = found
        return found


class Planner:
    """What is known, and what follows. Changes are cheap; plan() is for after some of them."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._policies: dict[str, dict[str, Policy]] = {}
        self._namespaces: dict[str, Labels] = {}
        self._listed: dict[str, Pod] = {}
        self._attached: dict[str, Pod] = {}
        self._owners: dict[str, str] = {}
        self._by_namespace: dict[str, dict[str, Pod]] = {}
        self._local: dict[str, Pod] = {}
        self._groups: dict[str, _Group] = {}
        self._chains: dict[str, dict[_Kind, _Chains]] = {}

    def set_policy(self, key: str, policy: Policy | None) -> None:
        """Take in a policy; None: it is gone."""
        namespace = key.partition("/")[0]
        held = self._policies.setdefault(namespace, {})
        self._chains.pop(namespace, None)
        if policy is not None:
            held[key] = policy
        else:
            held.pop(key, None)
        if not held:
            del self._policies[namespace]

    def set_namespace(self, name: str, labels: Labels | None) -> bool:
        """Take in a namespace's labels; None: it is gone. Returns whether that changes anything."""
        if labels == self._namespaces.get(name):
            return False
        if labels is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = dict(labels)
        for pod in self._by_namespace.get(name, {}).values():
            self._join(pod.key, pod)
        return True

    def set_pod(self, pod: Pod) -> bool:
        """Take in what the API says of a Pod; returns whether anything of it counts."""
        if self._listed.get(pod.key) == pod:
            return False
        self._listed[pod.key] = pod
        attached = self._attached.get(pod.key)
        if attached is not None and attached.uid != pod.uid and pod.node != self._node:
            self._detach(attached)  # its name went to another node
        self._refresh(pod.key)
        return True

    def remove_pod(self, pod: Pod) -> bool:
        """Forget a Pod that was deleted; True: that may change anything."""
        self._listed.pop(pod.key, None)
        attached = self._attached.get(pod.key)
        if attached is not None and attached.uid == pod.uid:
            self._detach(attached)
        self._refresh(pod.key)
        return True

    def _detach(self, pod: Pod) -> None:
        del self._attached[pod.key]
        for ip in pod.ips:
            if self._owners.get(ip) == pod.key:
                del self._owners[ip]

    def attach(self, pod: Pod) -> bool:
        """Take in a Pod of this node whose addresses the API may not know yet; returns whether that is new.

        They are this Pod's alone from now on: whoever had them before has ended.
        """
        if self._attached.get(pod.key) == pod:
            return False
        self._attached[pod.key] = pod
        self._owners.update(dict.fromkeys(pod.ips, pod.key))
        former = [key for key, other in self._local.items() if set(other.ips) & set(pod.ips)]
        for key in (*former, pod.key):
            self._refresh(key)
        return True

    def plan(self) -> Ruleset:
        """Return the rules that follow from what is known."""
        maps: dict[str, dict[str, str]] = {}
        chains: dict[str, rules.Chain] = {}
        # Kinds of which no Pod is left are forgotten: each Job makes a new one.
        known, self._chains = self._chains, {}
        for pod in self._local.values():
            egress, ingress = self._chains_of(pod, known.get(pod.namespace) or {})
            for name, each in ((ruleset.EGRESS, egress), (ruleset.INGRESS, ingress)):
                if each is not None:
                    chains[each.name] = each
                    for ip in pod.ips:
                        maps.setdefault(_for(name, ip), {})[ip] = f"jump {each.name}"
            for ip in pod.ips if egress or ingress else ():
                maps.setdefault(_for(ruleset.SELF, ip), {})[f"{ip} . {ip}"] = ""
        needed = {name: members for each in chains.values() for name, members in each.sets.items()}
        self._keep_groups({each.group: each.peer for each in needed.values()})
        sets = {name: self._groups[each.group].set_of(each) for name, each in needed.items()}
        return Ruleset(maps, {name: each.rules for name, each in chains.items()}, sets)

    def _chains_of(self, pod: Pod, known: Mapping[_Kind, _Chains]) -> _Chains:
        """Return a Pod's chains, the same for all of its kind."""
        policies = self._policies.get(pod.namespace)
        if not policies:
            return None, None
        versions = tuple(sorted({_version(ip) for ip in pod.ips}))
        kind = (pod.labels, pod.ports, versions)
        used = self._chains.setdefault(pod.namespace, {})
        if kind not in used:
            used[kind] = known[kind] if kind in known else _chains(policies.values(), pod, versions)
        return used[kind]

    def _refresh(self, key: str) -> None:
        """Bring together what the API and the kubelet say of a Pod."""
        pod = self._effective(key)
        namespace = key.partition("/")[0]
        _put(self._by_namespace.setdefault(namespace, {}), key, pod)
        if not self._by_namespace[namespace]:
            del self._by_namespace[namespace]
        _put(self._local, key, pod if pod is not None and pod.node == self._node else None)
        self._join(key, pod)

    def _effective(self, key: str) -> Pod | None:
        """Return a Pod with the addresses that are its own; None if it has none."""
        listed, attached = self._listed.get(key), self._attached.get(key)
        pod = listed
        if attached is not None:
            # labels may have changed since it was attached
            is_same = listed is not None and listed.uid == attached.uid
            pod = dataclasses.replace(listed, ips=attached.ips) if listed and is_same else attached
        if pod is None or not pod.is_connected:
            return None
        ips = tuple(ip for ip in pod.ips if self._owners.get(ip, key) == key)
        return dataclasses.replace(pod, ips=ips) if ips else None

    def _join(self, key: str, pod: Pod | None) -> None:
        """Put a Pod into the groups that mean it."""
        namespace = key.partition("/")[0]
        of_namespace = self._namespaces.get(namespace) or {}
        labels = dict(pod.labels) if pod is not None else {}
        for group in self._groups.values():
            peer = group.peer
            is_meant = peer.matches_namespace(namespace, of_namespace) and peer.pods.matches(labels)
            group.put(key, pod if is_meant else None)

    def _keep_groups(self, peers: Mapping[str, Peer]) -> None:
        for name in self._groups.keys() - peers.keys():
            del self._groups[name]
        for name in peers.keys() - self._groups.keys():
            self._groups[name] = _Group(peers[name], self._meant_by(peers[name]))

    def _meant_by(self, peer: Peer) -> Iterator[Pod]:
        for namespace, pods in self._by_namespace.items():
            if peer.matches_namespace(namespace, self._namespaces.get(namespace) or {}):
                yield from (each for each in pods.values() if peer.pods.matches(dict(each.labels)))


def _put(held: dict[str, Pod], key: str, pod: Pod | None) -> None:
    if pod is not None:
        held[key] = pod
    else:
        held.pop(key, None)


def _chains(policies: Iterable[Policy], pod: Pod, versions: tuple[int, ...]) -> _Chains:
    labels = dict(pod.labels)
    chosen = [each for each in policies if each.pods.matches(labels)]
    egress = [each.egress for each in chosen if each.egress is not None]
    ingress = [each.ingress for each in chosen if each.ingress is not None]
    return _chain(egress, pod, versions, is_egress=True), _chain(ingress, pod, versions, is_egress=False)


def _chain(
    chosen: Sequence[Sequence[Rule]], pod: Pod, versions: tuple[int, ...], *, is_egress: bool
) -> rules.Chain | None:
    if not chosen:
        return None
    return rules.chain([rule for each in chosen for rule in each], pod, versions, is_egress=is_egress)


def _elements(members: rules.Members, pods: Iterable[Pod]) -> Iterator[str]:
    for pod in pods:
        number = pod.port(members.protocol, members.port) if members.port else None
        for ip in pod.ips:
            if _version(ip) == members.version and (number or not members.port):
                yield f"{ip} . {number}" if number else ip


def _version(ip: str) -> int:
    return 6 if ":" in ip else 4


def _for(name: str, ip: str) -> str:
    return ruleset.map_name(name, _version(ip))
