"""How long admission took, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from nanokube.apiserver.admission import timing
from nanokube.apiserver.admission.timing import Timing
from tests.unit.nanokube.apiserver.conftest import Api

PREFIX = "apiserver_admission_"


def test_durations_fall_into_upstreams_buckets() -> None:
    times, registry = Timing(), CollectorRegistry()
    registry.register(times)
    row = times.step(timing.ADMIT, "CREATE")
    for spent_ms in (1, 5, 5.1, 90, 3000):
        timing.add(row, int(spent_ms * 1e6))
    times.step(timing.ADMIT, "DELETE")
    text = generate_latest(registry).decode()
    name = f"{PREFIX}step_admission_duration_seconds"
    labels = 'operation="CREATE",rejected="false",type="admit"'
    found = {
        line.split('le="')[1].split('"')[0]: float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith(f"{name}_bucket")
    }
    assert found == {"0.005": 2, "0.025": 3, "0.1": 4, "0.5": 4, "1": 4, "2.5": 4, "+Inf": 5}
    assert f"{name}_count{{{labels}}} 5.0" in text
    assert "3.1011" in text
    assert "DELETE" not in text


async def test_steps_and_plugins_are_measured(api: Api) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    assert (await api("POST", maps, {"metadata": {"name": "c"}})).code == 201
    assert (await api("POST", "/api/v1/namespaces/none/configmaps", {"metadata": {"name": "c"}})).code == 404
    text = (await api("GET", "/metrics")).body.decode()
    seen = {line.split(" ")[0] for line in text.splitlines() if line.startswith(PREFIX)}
    step, plugin = (f"{PREFIX}{what}_admission_duration_seconds_count" for what in ("step", "controller"))
    for labels in (
        'rejected="false",type="admit"',
        'rejected="false",type="validate"',
        'rejected="true",type="admit"',
    ):
        assert f'{step}{{operation="CREATE",{labels}}}' in seen
    for name, labels in (
        ("NamespaceLifecycle", 'rejected="true",type="admit"'),
        ("MutatingAdmissionWebhook", 'rejected="false",type="admit"'),
        ("ResourceQuota", 'rejected="false",type="validate"'),
    ):
        assert f'{plugin}{{name="{name}",operation="CREATE",{labels}}}' in seen
