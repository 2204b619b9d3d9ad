import dataclasses
from typing import Any

import pytest

from nanokube.kubelet.containers import environment, expansion, fields, service_env
from nanokube.kubelet.containers.environment import EnvironmentFault, Sources

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "labels": {"a": "1"}},
    "spec": {"nodeName": "n1", "containers": []},
}
SOURCES = Sources(
    config_maps={"settings": {"data": {"color": "red", "a=b": "no"}}},
    secrets={"password": {"data": {"p": "cHc="}}},
    services={"KUBERNETES_SERVICE_HOST": "10.96.0.1", "X_PORT": "1"},
    allocatable={"cpu": "4", "memory": "1Gi"},
    host_ips=("192.0.2.1",),
    pod_ips=("10.244.0.5",),
)


def built(**container: Any) -> dict[str, str]:
    return environment.build(POD, {"name": "c", **container}, SOURCES)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("$", "$"),
        ("$A", "$A"),
        ("$$$(A)", "$1"),
        ("$(A", "$(A"),
        ("x$(A)y$(A)", "x1y1"),
    ],
)
def test_references_expand_as_upstream(text: str, expanded: str) -> None:
    assert expansion.expand(text, {"A": "1"}) == expanded


def test_later_variables_see_earlier_ones_and_services() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(KUBERNETES_SERVICE_HOST)-$(C)"}]
    assert built(env=env)["B"] == "1-10.96.0.1-$(C)"


def test_own_variables_win_over_services() -> None:
    assert built(env=[{"name": "X_PORT", "value": "2"}])["X_PORT"] == "2"


def test_env_from_takes_every_key_that_can_be_a_name() -> None:
    found = built(envFrom=[{"prefix": "P_", "configMapRef": {"name": "settings"}}])
    assert found["P_color"] == "red"
    assert "P_a=b" not in found


@pytest.mark.parametrize("optional", [True, False])
def test_missing_references_fail_unless_optional(optional: bool) -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": optional}}}]
    if optional:
        assert "A" not in built(env=env)
        return
    with pytest.raises(EnvironmentFault, match='secret "none" not found'):
        built(env=env)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.labels['a']", "1"),
        ("metadata.labels['none']", ""),
        ("status.podIP", "10.244.0.5"),
        ("status.hostIP", "192.0.2.1"),
        ("spec.nodeName", "n1"),
    ],
)
def test_fields_have_values(path: str, value: str) -> None:
    assert built(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}])["A"] == value


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "1", "2"),
        ("limits.cpu", "1m", "1250"),
        ("requests.memory", "1Mi", "32"),
        ("limits.memory", "1Mi", "1024"),  # the node's
        ("requests.cpu", "1", "1"),  # rounded up
    ],
)
def test_resources_count_in_divisors(resource: str, divisor: str, value: str) -> None:
    container = {"resources": {"limits": {"cpu": "1250m"}, "requests": {"memory": "32Mi", "cpu": "100m"}}}
    reference = {"resource": resource, "divisor": divisor}
    assert fields.resource_value(container, reference, SOURCES.allocatable) == value


def test_labels_are_quoted_as_go_quotes() -> None:
    assert fields.format_map({"b": 'x"y\n', "a": "1"}) == 'a="1"\nb="x\\"y\\n"'


def test_services_of_the_namespace_and_the_master_are_named() -> None:
    services: list[dict[str, Any]] = [
        {
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]},
        },
        {
            "metadata": {"name": "foo-bar", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 53, "protocol": "UDP"}]},
        },
        {"metadata": {"name": "other", "namespace": "x"}, "spec": {"clusterIP": "10.96.0.7"}},
        {"metadata": {"name": "none", "namespace": "shop"}, "spec": {"clusterIP": "None"}},
    ]
    found = service_env.for_pod(POD, services)
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert found["FOO_BAR_SERVICE_HOST"] == "10.96.0.9"
    assert found["FOO_BAR_PORT_53_UDP"] == "udp://10.96.0.9:53"
    assert not any(name.startswith(("OTHER", "NONE")) for name in found)
    silent = {**POD, "spec": {"enableServiceLinks": False}}
    assert set(service_env.for_pod(silent, services)) == {n for n in found if n.startswith("KUBERNETES")}


def test_variables_are_read_from_files_of_volumes() -> None:
    def ref(key: str, path: str = "env", **more: Any) -> list[dict[str, Any]]:
        source = {"volumeName": "data", "path": path, "key": key, **more}
        return [{"name": "X", "valueFrom": {"fileKeyRef": source}}]

    sources = dataclasses.replace(SOURCES, files={("data", "env"): "A='1'", ("data", "bad"): "A"})

    def made(env: list[dict[str, Any]]) -> str | None:
        return environment.build(POD, {"name": "c", "env": env}, sources).get("X")

    assert environment.files({"env": ref("A")}) == {("data", "env")}
    assert made(ref("A")) == "1"
    assert made(ref("B", optional=True)) is None
    assert made(ref("A", "none", optional=True)) is None
    for env, fault in (
        (ref("B"), "cannot find environment variable B in file env of volume data"),
        (ref("A", "none"), "cannot find file none of volume data"),
        (ref("A", "bad", optional=True), "cannot read file bad of volume data: line 1"),
    ):
        with pytest.raises(EnvironmentFault, match=fault):
            made(env)


def test_limits_of_the_pod_are_what_a_container_without_any_is_told() -> None:
    resources = {"limits": {"cpu": "2", "memory": "64Mi"}}
    pod = {**POD, "spec": {**POD["spec"], "resources": resources}}

    def told(resource: str, of: dict[str, Any]) -> str:
        env = [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": resource}}}]
        return environment.build(pod, {"name": "c", "env": env, "resources": of}, SOURCES)["X"]

    assert told("limits.memory", {}) == str(64 << 20)
    assert told("limits.cpu", {}) == "2"
    assert told("limits.memory", {"limits": {"memory": "1Mi"}}) == str(1 << 20)
    assert told("requests.memory", {}) == "0"
