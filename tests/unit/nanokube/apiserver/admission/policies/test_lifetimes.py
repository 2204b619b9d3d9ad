"""What a write made goes with it: nothing is left, nor left to the garbage collector."""

from __future__ import annotations

import gc

import pytest

from nanokube.api.cel.library import authorization
from nanokube.apiserver.admission.matching.subject import Subject
from nanokube.apiserver.admission.matching.values import Values
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api

ASKS = "authorizer.requestResource.check('create').allowed() && authorizer.path('/x').check('get').allowed()"


@pytest.mark.parametrize("kind", ["validating", "mutating"])
@pytest.mark.parametrize("expression", ["size(object.data) > 5", ASKS, "object.data.map(k, k + 'x') == []"])
async def test_a_write_leaves_nothing(api: Api, kind: str, expression: str) -> None:
    patch = "[JSONPatch{op: 'add', path: '/data/made', value: 'x'}]"
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}
    does = check("true") if kind == "validating" else {"mutations": [mutation]}
    await bind(api, kind, {"matchConditions": [{"name": "only", "expression": expression}], **does})
    assert (await api("POST", MAPS, config_map("first"))).code == 201
    gc.collect()
    lent = len(authorization._lent)
    gc.disable()
    try:
        assert (await api("POST", MAPS, config_map("second"))).code == 201
        assert not [each for each in gc.get_objects() if isinstance(each, Subject | Values)]
    finally:
        gc.enable()
    assert len(authorization._lent) == lent
