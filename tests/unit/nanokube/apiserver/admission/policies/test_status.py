"""The status of policies: what type checking warns of."""

from __future__ import annotations

from typing import Any

from tests.unit.nanokube.apiserver.admission.policies.conftest import ROOT, match
from tests.unit.nanokube.apiserver.conftest import Api

PATH = f"{ROOT}/validatingadmissionpolicies/p"


async def _status(api: Api, spec: dict[str, Any]) -> Any:
    body = {"metadata": {"name": "p"}, "spec": spec}
    reply = await api("POST", PATH.removesuffix("/p"), body)
    assert reply.code == 201, reply.json
    api.server.policy_status.catch_up()
    await api.server.policy_status.settle()
    return (await api("GET", PATH)).json["status"]


async def test_wrong_types_are_warned_of(api: Api) -> None:
    validations = [
        {"expression": "object.spec.replicas > '1'", "messageExpression": "'x' + object.metadata.nam"},
        {"expression": "object.spec.replicas > 1"},
    ]
    spec = {"matchConstraints": match("deployments", group="apps", version="v1"), "validations": validations}
    status = await _status(api, spec)
    assert status["observedGeneration"] == 1
    first, second = status["typeChecking"]["expressionWarnings"]
    assert first["fieldRef"] == "spec.validations[0].expression"
    assert first["warning"].startswith(
        "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching over"
    )
    assert "applied to '(int, string)'" in first["warning"]
    assert second["fieldRef"] == "spec.validations[0].messageExpression"
    assert "undefined field 'nam'" in second["warning"]


async def test_what_is_right_or_unknown_is_not_warned_of(api: Api) -> None:
    variables = [{"name": "n", "expression": "object.spec.replicas"}]
    validations = [{"expression": "variables.n > 1 && params.data.x == 'y' && object.metadata.name != ''"}]
    constraints = match(
        "deployments", "replicasets", "deployments/status", "nobodys", group="apps", version="v1"
    )
    spec = {
        "matchConstraints": constraints,
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": variables,
        "validations": validations,
    }
    assert await _status(api, spec) == {"observedGeneration": 1, "typeChecking": {}}
