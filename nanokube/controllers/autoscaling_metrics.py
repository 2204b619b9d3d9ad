"""What Pods and other things use, from whoever serves the APIs of resource, custom and external metrics.

Source: pkg/controller/podautoscaler/metrics/client.go; k8s.io/metrics pkg/client.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from nanokube.api import errors, quantity, selectors, timestamps
from nanokube.api.objects import Object
from nanokube.client.interface import ApiClient
from nanokube.controllers.autoscaling_replicas import NoProposal, Sample

RESOURCE: Final = "/apis/metrics.k8s.io/v1beta1"
CUSTOM: Final = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL: Final = "/apis/external.metrics.k8s.io/v1beta1"
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


async def resource_use(
    client: ApiClient, resource: str, namespace: str, selector: str, container: str = ""
) -> dict[str, Sample]:
    """Read what Pods, or one container of each, use of a resource, by name of the Pod. Raises NoProposal."""
    path = f"{RESOURCE}/namespaces/{namespace}/pods"
    params = {"labelSelector": selector}
    items = await _items(client, "resource", path, params, "get pods.metrics.k8s.io")
    found: dict[str, Sample] = {}
    for item in items:
        containers = item.get("containers") or []
        if container:
            containers = [each for each in containers if each.get("name") == container]
        amounts = [(each.get("usage") or {}).get(resource) for each in containers]
        if amounts and None not in amounts:
            milli = sum(quantity.milli(amount) for amount in amounts if amount is not None)
            found[item["metadata"]["name"]] = _sample(item, milli, duration_s(item.get("window") or "0s"))
    return found


async def pods_metric(client: ApiClient, metric: Object, namespace: str, selector: str) -> dict[str, Sample]:
    """Read a custom metric of Pods, by name of the Pod. Raises NoProposal."""
    path = f"{CUSTOM}/namespaces/{namespace}/pods/*/{metric['name']}"
    params = {"labelSelector": selector, **_metric_selector("metricLabelSelector", metric)}
    items = await _items(client, "custom", path, params, "get pods.custom.metrics.k8s.io")
    return {
        item["describedObject"]["name"]: _sample(
            item, quantity.milli(item["value"]), float(item.get("windowSeconds") or 60)
        )
        for item in items
    }


async def object_metric(client: ApiClient, metric: Object, namespace: str, resource: str, name: str) -> int:
    """Read a custom metric of one object, in thousandths. Raises NoProposal.

    resource: as RBAC spells it ("services", "ingresses.networking.k8s.io").
    """
    where = f"namespaces/{namespace}/{resource}/{name}"
    if resource == "namespaces":  # its own, whatever name is given
        where = f"namespaces/{namespace}/metrics"
    params = _metric_selector("metricLabelSelector", metric)
    items = await _items(client, "custom", f"{CUSTOM}/{where}/{metric['name']}", params, f"get {resource}")
    return quantity.milli(items[0]["value"])


async def external_metric(client: ApiClient, metric: Object, namespace: str) -> int:
    """Read an external metric, in thousandths: the sum of its series. Raises NoProposal."""
    path = f"{EXTERNAL}/namespaces/{namespace}/{metric['name']}"
    params = _metric_selector("labelSelector", metric)
    about = f"get {metric['name']}.external.metrics.k8s.io"
    return sum(quantity.milli(i["value"]) for i in await _items(client, "external", path, params, about))


def _metric_selector(key: str, metric: Object) -> dict[str, str]:
    found = metric.get("selector")
    return {key: str(selectors.from_object(found))} if found else {}


async def _items(
    client: ApiClient, api: str, path: str, params: Mapping[str, str], about: str
) -> list[dict[str, Any]]:
    try:
        answer = orjson.loads(await client.raw("GET", path, params=params))
    except errors.ApiError as err:
        text = err.message
        if text == errors.no_such_path().message:
            text += f" ({about})"
        raise NoProposal(f"unable to fetch metrics from {api} metrics API: {text}") from err
    items: list[dict[str, Any]] = answer.get("items") or []
    if not items:
        raise NoProposal(f"no metrics returned from {api} metrics API")
    return items


def _sample(item: Object, milli: int, window_s: float) -> Sample:
    stamp = item.get("timestamp")
    return Sample(milli, timestamps.parse(stamp) if stamp else 0.0, window_s)


def duration_s(text: str) -> float:
    """Read Go's text of a duration ("1m30s") in seconds."""
    return sum(float(n) * _UNIT_S[unit] for n, unit in re.findall(r"([\d.]+)(h|ms|us|µs|ns|m|s)", text))
