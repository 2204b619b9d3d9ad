"""What the server counts, under the names and labels that alerts and dashboards ask for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, PODS, Api, configmap, pod

APPLY = "application/apply-patch+yaml"


async def lines(api: Api, name: str) -> dict[str, float]:
    found = (await api("GET", "/metrics")).body.decode().splitlines()
    rows = [line.rpartition(" ") for line in found if line.startswith(name)]
    return {key: float(value) for key, _, value in rows}


def labels(resource: str, scope: str, verb: str, *, sub: str = "", dry: str | None = None) -> str:
    tried = "" if dry is None else f'dry_run="{dry}",'
    return (
        f'component="apiserver",{tried}group="",resource="{resource}",scope="{scope}",subresource="{sub}"'
        + ("" if dry is None else ',system_client=""')
        + f',verb="{verb}",version="v1"'
    )


@pytest.mark.parametrize(
    ("method", "target", "body", "counted"),
    [
        ("PATCH", f"{CONFIGMAPS}/a?fieldManager=m", APPLY, ("resource", "APPLY", "")),
        ("POST", f"{CONFIGMAPS}?dryRun=All", "", ("resource", "POST", "All")),
        ("POST", f"{CONFIGMAPS}?dryRun=Some", "", ("resource", "POST", "invalid")),
        ("DELETE", CONFIGMAPS, None, ("namespace", "DELETE", "")),
        ("GET", f"{CONFIGMAPS}?fieldSelector=metadata.name=a", None, ("namespace", "LIST", "")),
    ],
)
async def test_requests_are_counted_as_what_they_do(
    api: Api, method: str, target: str, body: str | None, counted: tuple[str, str, str]
) -> None:
    options: dict[str, Any] = {"content_type": body} if body else {}
    await api(method, target, None if body is None else configmap("a"), **options)
    found = await lines(api, "apiserver_request_total")
    about = labels("configmaps", counted[0], counted[1], dry=counted[2])
    assert [key for key in found if key.endswith(f"{about}}}")], sorted(found)


async def test_dry_runs_are_no_matter_of_the_objectives(api: Api) -> None:
    await api("POST", f"{CONFIGMAPS}?dryRun=All", configmap("a"))
    found = await lines(api, "apiserver_request_sli_duration_seconds_count")
    assert not [key for key in found if 'resource="configmaps"' in key]


async def test_what_lasts_is_counted_while_it_lasts(api: Api) -> None:
    about = f"apiserver_longrunning_requests{{{labels('configmaps', 'namespace', 'WATCH')}}}"
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{CONFIGMAPS}?watch=1", group)
        assert (await lines(api, about))[about] == 1
        stream.abort()
    assert (await lines(api, about))[about] == 0


async def test_a_connection_that_fails_is_counted_no_longer(api: Api) -> None:
    await api("POST", PODS, pod())
    await api("GET", f"{PODS}/p/proxy/")
    about = f"apiserver_longrunning_requests{{{labels('pods', 'resource', 'CONNECT', sub='proxy')}}}"
    assert await lines(api, about) == {about: 0}


async def test_answers_to_reads_are_measured(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a", text="x" * 2000))
    size = len((await api("GET", f"{CONFIGMAPS}/a")).body)
    found = await lines(api, "apiserver_response_sizes")
    about = labels("configmaps", "resource", "GET")
    assert found[f"apiserver_response_sizes_sum{{{about}}}"] == size
    bounds = {key.split('le="')[1].split('"')[0]: value for key, value in found.items() if 'le="' in key}
    assert {bound: bounds[bound] for bound in ("1000", "1e+06", "+Inf")} == {
        "1000": 0,
        "1e+06": 1,
        "+Inf": 1,
    }
    assert not [key for key in found if 'verb="POST"' in key]


async def test_deprecated_kinds_in_use_are_named(api: Api) -> None:
    await api("GET", "/api/v1/endpoints")
    about = 'group="",removed_release="",resource="endpoints",subresource="",version="v1"'
    name = f"apiserver_requested_deprecated_apis{{{about}}}"
    assert await lines(api, "apiserver_requested_deprecated_apis") == {name: 1}


async def test_the_size_of_the_store_is_told(api: Api) -> None:
    name = 'apiserver_storage_size_bytes{storage_cluster_id="etcd-0"}'
    assert (await lines(api, name))[name] > 10_000


async def test_what_strangers_make_up_becomes_no_series(api: Api) -> None:
    await api("GET", "/api/v1/made-up")
    await api("OPTIONS", "/made-up-either")
    assert "made-up" not in (await api("GET", "/metrics")).body.decode()
    found = await lines(api, "apiserver_request_total")
    assert [key for key in found if 'verb="other"' in key]


async def test_objects_are_counted_by_group_and_resource(api: Api) -> None:
    found = await lines(api, "apiserver_resource_objects")
    assert found['apiserver_resource_objects{group="",resource="serviceaccounts"}'] == 1
    assert found['apiserver_resource_objects{group="rbac.authorization.k8s.io",resource="clusterroles"}'] > 9
