"""Columns of access, network, quota, admission and flow control. Pure.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, NONE, Column, Columns, age, wide
from nanokube.api.table.controllers import selector_text


def _role_binding(obj: Object, now: float) -> list[Any]:
    ref, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()

    def of(kind: str) -> str:
        return ", ".join(s.get("name", "") for s in subjects if s.get("kind") == kind)

    accounts = [
        f"{s.get('namespace', '')}/{s.get('name', '')}" for s in subjects if s.get("kind") == "ServiceAccount"
    ]
    return [
        objects.name(obj),
        f"{ref.get('kind', '')}/{ref.get('name', '')}",
        age(obj, now),
        of("User"),
        of("Group"),
        ", ".join(accounts),
    ]


def _ingress(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    more = f" + {len(hosts) - 3} more..." if len(hosts) > 3 else ""
    points = (objects.status(obj).get("loadBalancer") or {}).get("ingress") or ()
    return [
        objects.name(obj),
        spec.get("ingressClassName") or NONE,
        ",".join(hosts[:3]) + more if hosts else "*",
        ",".join(sorted({text for p in points if (text := p.get("ip") or p.get("hostname"))})),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def _ingress_class(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    found = spec.get("parameters")
    text = NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
        text = f"{found.get('kind', '')}{group}/{found.get('name', '')}"
    return [objects.name(obj), spec.get("controller") or "", text, age(obj, now)]


def _network_policy(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), selector_text(objects.spec(obj).get("podSelector")), age(obj, now)]


def _ip_address(obj: Object, now: float) -> list[Any]:
    ref = objects.spec(obj).get("parentRef")
    text = NONE
    if ref:
        group = f".{ref['group']}" if ref.get("group") else ""
        inside = f"{ref['namespace']}/" if ref.get("namespace") else ""
        text = f"{ref.get('resource', '').lower()}{group}/{inside}{ref.get('name', '')}"
    return [objects.name(obj), text]


def _service_cidr(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), ",".join(objects.spec(obj).get("cidrs") or ()), age(obj, now)]


def _quota(obj: Object, now: float) -> list[Any]:
    status = objects.status(obj)
    used = status.get("used") or {}
    texts = {
        name: f"{name}: {used.get(name, '0')}/{hard}"
        for name, hard in sorted((status.get("hard") or {}).items())
    }
    limits = [text for name, text in texts.items() if name.startswith("limits.")]
    others = [text for name, text in texts.items() if not name.startswith("limits.")]
    return [objects.name(obj), ", ".join(others), ", ".join(limits), age(obj, now)]


def _priority_class(obj: Object, now: float) -> list[Any]:
    return [
        objects.name(obj),
        obj.get("value") or 0,
        bool(obj.get("globalDefault")),
        age(obj, now),
        obj.get("preemptionPolicy") or "",
    ]


def _runtime_class(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), obj.get("handler") or "", age(obj, now)]


def _signing_request(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    kinds = {c.get("type") for c in status.get("conditions") or ()}
    text = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    text += ",Failed" if "Failed" in kinds else ""
    text += ",Issued" if status.get("certificate") else ""
    seconds = spec.get("expirationSeconds")
    return [
        objects.name(obj),
        age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username") or "",
        NONE if seconds is None else timestamps.human(seconds),
        text,
    ]


def _webhooks(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _admission_policy(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    kind = spec.get("paramKind")
    text = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"
    rules = spec.get("validations") or spec.get("mutations") or ()
    return [objects.name(obj), len(rules), text, age(obj, now)]


def _policy_binding(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    ref = spec.get("paramRef")
    text = "<unset>"
    if ref:
        text = (
            f"{ref['namespace']}/{ref.get('name', '')}"
            if ref.get("namespace")
            else f"*/{ref.get('name', '')}"
        )
    return [objects.name(obj), spec.get("policyName") or "", text, age(obj, now)]


def _flow_schema(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    missing = objects.condition(obj, "Dangling")
    return [
        objects.name(obj),
        (spec.get("priorityLevelConfiguration") or {}).get("name") or "",
        spec.get("matchingPrecedence") or 0,
        (spec.get("distinguisherMethod") or {}).get("type") or NONE,
        age(obj, now),
        missing.get("status", "?") if missing else "?",
    ]


def _priority_level(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    shares = (spec.get("limited") or {}).get("nominalConcurrencyShares", NONE)
    queuing = ((spec.get("limited") or {}).get("limitResponse") or {}).get("queuing") or {}
    cells = [queuing.get(key, NONE) for key in ("queues", "handSize", "queueLengthLimit")]
    return [objects.name(obj), spec.get("type") or "", shares, *cells, age(obj, now)]


def _component(obj: Object, now: float) -> list[Any]:
    found: Object = next((c for c in obj.get("conditions") or () if c.get("type") == "Healthy"), {})
    status = {"True": "Healthy", "False": "Unhealthy"}.get(found.get("status", ""), "Unknown")
    return [objects.name(obj), status, found.get("message") or "", found.get("error") or ""]


def _claim(obj: Object, now: float) -> list[Any]:
    status = objects.status(obj)
    states = ["deleted"] if objects.is_deleting(obj) else []
    states += ["allocated"] if status.get("allocation") else []
    states += ["reserved"] if status.get("reservedFor") else []
    return [objects.name(obj), ",".join(states) or "pending", age(obj, now)]


def _slice(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    pool = (spec.get("pool") or {}).get("name") or ""
    return [
        objects.name(obj),
        spec.get("nodeName") or "",
        spec.get("driver") or "",
        pool,
        age(obj, now),
    ]


def _plain(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), age(obj, now)]


def _columns(cells: Any, *names: str) -> Columns:
    """Make string columns behind the name; "Age" is the usual one."""
    return Columns((NAME, *(AGE if name == "Age" else Column(name) for name in names)), cells)


ROLE_BINDING: Final = Columns(
    (NAME, Column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")), _role_binding
)
INGRESS: Final = _columns(_ingress, "Class", "Hosts", "Address", "Ports", "Age")
INGRESS_CLASS: Final = _columns(_ingress_class, "Controller", "Parameters", "Age")
NETWORK_POLICY: Final = _columns(_network_policy, "Pod-Selector", "Age")
IP_ADDRESS: Final = _columns(_ip_address, "ParentRef")
SERVICE_CIDR: Final = _columns(_service_cidr, "CIDRs", "Age")
QUOTA: Final = _columns(_quota, "Request", "Limit", "Age")
PRIORITY_CLASS: Final = Columns(
    (
        NAME,
        Column("Value", "integer"),
        Column("Global-Default", "boolean"),
        AGE,
        Column("PreemptionPolicy"),
    ),
    _priority_class,
)
RUNTIME_CLASS: Final = _columns(_runtime_class, "Handler", "Age")
SIGNING_REQUEST: Final = _columns(
    _signing_request, "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"
)
WEBHOOKS: Final = Columns((NAME, Column("Webhooks", "integer"), AGE), _webhooks)
VALIDATING_POLICY: Final = Columns(
    (NAME, Column("Validations", "integer"), Column("ParamKind"), AGE), _admission_policy
)
MUTATING_POLICY: Final = Columns(
    (NAME, Column("Mutations", "integer"), Column("ParamKind"), AGE), _admission_policy
)
POLICY_BINDING: Final = _columns(_policy_binding, "PolicyName", "ParamRef", "Age")
FLOW_SCHEMA: Final = _columns(
    _flow_schema, "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL"
)
PRIORITY_LEVEL: Final = _columns(
    _priority_level, "Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit", "Age"
)
COMPONENT: Final = _columns(_component, "Status", "Message", "Error")
RESOURCE_CLAIM: Final = _columns(_claim, "State", "Age")
RESOURCE_SLICE: Final = _columns(_slice, "Node", "Driver", "Pool", "Age")
PLAIN: Final = _columns(_plain, "Age")
