"""HorizontalPodAutoscalers: scales what they refer to, every 15 seconds, by what metrics say.

The metrics come from whoever serves metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io; where
nobody does, the conditions say so and nothing is scaled.
Source: pkg/controller/podautoscaler/horizontal.go.
"""

import dataclasses
from typing import Any, Final, Never

import orjson

from nanokube.api import errors, objects, quantity, resources, selectors, timestamps
from nanokube.api.objects import Object
from nanokube.client import informer, runner, store
from nanokube.controllers import autoscaling_limits as limits
from nanokube.controllers import autoscaling_metrics as metrics
from nanokube.controllers import autoscaling_replicas as calculation
from nanokube.controllers.autoscaling_limits import Condition, Memory
from nanokube.controllers.autoscaling_replicas import NoProposal, Scene, Tolerance
from nanokube.controllers.env import Env

AUTOSCALERS = resources.get("horizontalpodautoscalers.autoscaling")
PODS = resources.get("pods")
PERIOD_S: Final = 15.0  # --horizontal-pod-autoscaler-sync-period
_REASONS: Final = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


@dataclasses.dataclass(slots=True)
class Draft:
    """The status that is being written."""

    status: dict[str, Any]
    now: float

    def say(self, found: Condition) -> None:
        """Set a condition; its time is that of its last change of status."""
        status = "True" if found.is_true else "False"
        conditions = [dict(c) for c in self.status.get("conditions") or ()]
        mine = next((c for c in conditions if c.get("type") == found.type), None)
        if mine is None:
            mine = {"type": found.type}
            conditions.append(mine)
        if mine.get("status") != status:
            mine["lastTransitionTime"] = timestamps.format_time(self.now)
        mine.update(status=status, reason=found.reason, message=found.message)
        self.status["conditions"] = conditions


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What one metric asks for: how many replicas, its name in events, its present value in the status."""

    replicas: int
    name: str
    status: dict[str, Any]


class HorizontalPodAutoscalerController:
    """Keeps each autoscaler's target between its bounds and near its metrics' targets."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._autoscalers = env.informers.of(AUTOSCALERS)
        self._pods = env.informers.of(PODS)
        self._pods.add_index("namespace", store.by_namespace)
        self._memories: dict[str, Memory] = {}
        self._selectors: dict[str, selectors.LabelSelector] = {}
        self.runner = runner.Runner("horizontal-pod-autoscaler", self.reconcile)
        self.runner.reads(self._autoscalers)
        self.runner.reads(self._pods)
        self._autoscalers.subscribe(self._changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    def _changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        if old is None or change == "DELETED" or objects.spec(old) != objects.spec(new):
            self.runner.queue.add(objects.key(new))  # our own writes of the status wait for the period

    async def reconcile(self, key: str) -> float | None:
        """Look at one autoscaler's metrics, scale, and write its status."""
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None or objects.is_deleting(autoscaler):
            self._memories.pop(key, None)
            self._selectors.pop(key, None)
            return None
        draft = Draft(objects.copy(dict(objects.status(autoscaler))), self._env.clock.time())
        await self._autoscale(autoscaler, draft)
        if draft.status != objects.status(autoscaler):
            await self._env.client.update(
                AUTOSCALERS, {**autoscaler, "status": draft.status}, subresource="status"
            )
        return PERIOD_S

    async def _autoscale(self, autoscaler: Object, draft: Draft) -> None:
        reference = objects.spec(autoscaler)["scaleTargetRef"]
        namespace = objects.namespace(autoscaler)
        try:
            resource = await self._resource(reference)
            scale = await self._env.client.get(resource, reference["name"], namespace, subresource="scale")
        except (errors.ApiError, LookupError) as err:
            text = err.message if isinstance(err, errors.ApiError) else str(err.args[0])
            self._warn(autoscaler, "FailedGetScale", text)
            text = f"the HPA controller was unable to get the target's current scale: {text}"
            draft.say(Condition("AbleToScale", False, "FailedGetScale", text))
            return
        text = "the HPA controller was able to get the target's current scale"
        draft.say(Condition("AbleToScale", True, "SucceededGetScale", text))
        current = objects.spec(scale).get("replicas") or 0
        wanted, why = await self._wanted(autoscaler, scale, draft)
        draft.status["currentReplicas"] = current
        if wanted is None:
            draft.status.setdefault("desiredReplicas", 0)
            return
        if wanted != current and not await self._rescale(autoscaler, resource, scale, wanted, why, draft):
            draft.status.setdefault("desiredReplicas", 0)
            return
        draft.status["desiredReplicas"] = wanted

    async def _wanted(self, autoscaler: Object, scale: Object, draft: Draft) -> tuple[int | None, str]:
        """Decide how many replicas there should be, and why; None: nothing says so."""
        spec, key = objects.spec(autoscaler), objects.key(autoscaler)
        current = objects.spec(scale).get("replicas") or 0
        draft.status["currentMetrics"] = None  # as the API shows that there are none
        memory = self._memories.setdefault(key, Memory(recommended=((draft.now, current),)))
        if current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            draft.say(Condition("ScalingActive", False, "ScalingDisabled", text))
            return 0, ""
        if current > spec["maxReplicas"]:
            return spec["maxReplicas"], "Current number of replicas above Spec.MaxReplicas"
        if current < spec.get("minReplicas", 1):
            return spec.get("minReplicas", 1), "Current number of replicas below Spec.MinReplicas"
        wish = await self._wish(autoscaler, scale, draft)
        if wish is None:
            return None, ""
        found = limits.limit(spec, memory, current, wish.replicas, draft.now)
        self._memories[key] = found.memory
        for condition in found.conditions:
            draft.say(condition)
        above = f"{wish.name} above target"
        return found.replicas, above if wish.replicas > current else "All metrics below target"

    async def _wish(self, autoscaler: Object, scale: Object, draft: Draft) -> Wish | None:
        """Ask every metric; the highest wish counts, and where one says nothing, nobody scales down."""
        scene = self._scene(autoscaler, scale, draft)
        if scene is None:
            return None
        selector = objects.status(scale)["selector"]
        wishes: list[Wish] = []
        failed: list[Condition] = []
        first = ""
        specs = objects.spec(autoscaler).get("metrics") or []
        for metric in specs:
            try:
                wishes.append(await self._ask(metric, objects.namespace(autoscaler), selector, scene, scale))
            except NoProposal as err:
                reason = _REASONS[metric["type"]]
                self._warn(autoscaler, reason, str(err))
                text = f"the HPA was unable to compute the replica count: {err}"
                failed.append(Condition("ScalingActive", False, reason, text))
                first = first or f"{_failure(metric)}: {err}"
        if wishes:
            draft.status["currentMetrics"] = [wish.status for wish in wishes]
        best = max(wishes, key=lambda wish: wish.replicas, default=None)
        if best is None or (failed and best.replicas < scene.replicas):
            draft.say(failed[0])
            text = f"invalid metrics ({len(failed)} invalid out of {len(specs)}), first error is: {first}"
            self._warn(autoscaler, "FailedComputeMetricsReplicas", text)
            return None
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        draft.say(Condition("ScalingActive", True, "ValidMetricFound", text))
        return best

    def _scene(self, autoscaler: Object, scale: Object, draft: Draft) -> Scene | None:
        """Find the Pods that are scaled; None, with a condition, if nobody can tell which these are."""
        key, namespace = objects.key(autoscaler), objects.namespace(autoscaler)
        text = objects.status(scale).get("selector") or ""
        if not text:
            self._refuse(autoscaler, draft, "SelectorRequired", "selector is required")
            return None
        try:
            selector = selectors.parse_labels(text)
        except ValueError as err:
            cause = f"couldn't convert selector into a corresponding internal selector object: {err}"
            self._refuse(autoscaler, draft, "InvalidSelector", cause)
            return None
        self._selectors[key] = selector
        pods = [
            pod
            for pod in self._pods.by_index("namespace", namespace)
            if selector.matches(objects.labels(pod))
        ]
        rivals = [
            other
            for other, theirs in sorted(self._selectors.items())
            if objects.split_key(other)[0] == namespace
            and any(theirs.matches(objects.labels(pod)) for pod in pods)
        ]
        if len(rivals) > 1:
            names = " ".join(f"{{{name} {ns}}}" for ns, name in map(objects.split_key, rivals))
            cause = f"pods by selector {text} are controlled by multiple HPAs: [{names}]"
            self._refuse(autoscaler, draft, "AmbiguousSelector", cause)
            return None
        replicas = objects.spec(scale).get("replicas") or 0
        return Scene(pods, replicas, tolerance_of(objects.spec(autoscaler)), draft.now)

    def _refuse(self, autoscaler: Object, draft: Draft, reason: str, cause: str) -> None:
        self._warn(autoscaler, reason, cause)
        if reason == "SelectorRequired":
            text = "the HPA target's scale is missing a selector"
            draft.say(Condition("ScalingActive", False, "InvalidSelector", text))
        else:
            draft.say(Condition("ScalingActive", False, reason, cause))
        self._warn(autoscaler, "FailedComputeMetricsReplicas", cause)

    async def _ask(self, metric: Object, namespace: str, selector: str, scene: Scene, scale: Object) -> Wish:
        """Read one metric and compare it with its target. Raises NoProposal."""
        match metric["type"]:
            case "Resource" | "ContainerResource":
                return await self._ask_resource(metric, namespace, selector, scene)
            case "Pods":
                source, name = metric["pods"], metric["pods"]["metric"]["name"]
                try:
                    samples = await metrics.pods_metric(
                        self._env.client, source["metric"], namespace, selector
                    )
                except NoProposal as err:
                    raise NoProposal(f"unable to get metric {name}: {err}") from err
                target = quantity.milli(source["target"]["averageValue"])
                found = calculation.of_average(scene, samples, "", target)
                value = {"averageValue": str(quantity.from_milli(found.average_milli))}
                status = {"type": "Pods", "pods": {"metric": source["metric"], "current": value}}
                return Wish(found.replicas, f"pods metric {name}", status)
        return await self._ask_value(metric, namespace, scene, scale)

    async def _ask_resource(self, metric: Object, namespace: str, selector: str, scene: Scene) -> Wish:
        kind = "containerResource" if metric["type"] == "ContainerResource" else "resource"
        source = metric[kind]
        name, container, target = source["name"], source.get("container", ""), source["target"]
        is_percent = "averageValue" not in target
        try:
            try:
                samples = await metrics.resource_use(self._env.client, name, namespace, selector, container)
            except NoProposal as err:
                raise NoProposal(f"unable to get metrics for resource {name}: {err}") from err
            if is_percent:
                percent = target["averageUtilization"]
                found = calculation.of_utilization(scene, samples, name, percent, container)
            else:
                found = calculation.of_average(scene, samples, name, quantity.milli(target["averageValue"]))
        except NoProposal as err:
            what = "utilization" if is_percent else "usage"
            raise NoProposal(f"failed to get {name} {what}: {err}") from err
        value: dict[str, Any] = {"averageValue": _amount(name, found.average_milli)}
        if found.utilization is not None:
            value["averageUtilization"] = found.utilization
        about = {key: source[key] for key in ("name", "container") if key in source}
        title = f"{name} resource"
        if is_percent:
            of_container = " container" if container else ""
            title = f"{name}{of_container} resource utilization (percentage of request)"
        return Wish(found.replicas, title, {"type": metric["type"], kind: {**about, "current": value}})

    async def _ask_value(self, metric: Object, namespace: str, scene: Scene, scale: Object) -> Wish:
        """Ask a metric that is no Pod's own: of an object, or from outside."""
        kind = "object" if metric["type"] == "Object" else "external"
        source = metric[kind]
        name, target = source["metric"]["name"], source["target"]
        about: dict[str, Any] = {"metric": source["metric"]}
        try:
            if kind == "object":
                described = source["describedObject"]
                about["describedObject"] = described
                resource = (await self._resource(described)).name
                value = await metrics.object_metric(
                    self._env.client, source["metric"], namespace, resource, described["name"]
                )
            else:
                value = await metrics.external_metric(self._env.client, source["metric"], namespace)
        except (NoProposal, LookupError, errors.ApiError) as err:
            raise NoProposal(f"unable to get {'external ' * (kind != 'object')}metric {name}: {err}") from err
        if "averageValue" in target:
            there = objects.status(scale).get("replicas") or 0
            goal = quantity.milli(target["averageValue"])
            found = calculation.of_share(scene.tolerance, there, value, goal)
            current = {"averageValue": str(quantity.from_milli(found.average_milli))}
        else:
            found = calculation.of_value(scene, value, quantity.milli(target["value"]))
            current = {"value": str(quantity.from_milli(value))}
        described_kind = about.get("describedObject", {}).get("kind", "")
        title = f"{described_kind} metric {name}" if kind == "object" else f"external metric {name}"
        return Wish(found.replicas, title, {"type": metric["type"], kind: {**about, "current": current}})

    async def _rescale(
        self,
        autoscaler: Object,
        resource: resources.Resource,
        scale: Object,
        wanted: int,
        why: str,
        draft: Draft,
    ) -> bool:
        """Set the target's replicas, and tell whether that worked."""
        before = objects.spec(scale).get("replicas") or 0
        changed = {**scale, "spec": {**objects.spec(scale), "replicas": wanted}}
        # As the metrics were read: whoever scaled meanwhile is asked again in 15 seconds.
        body = {
            "metadata": {"resourceVersion": objects.resource_version(changed)},
            "spec": {"replicas": wanted},
        }
        name, namespace = objects.name(scale), objects.namespace(autoscaler)
        try:
            await self._env.client.patch(resource, name, body, namespace, subresource="scale")
        except errors.ApiError as err:
            self._warn(
                autoscaler, "FailedRescale", f"New size: {wanted}; reason: {why}; error: {err.message}"
            )
            text = f"the HPA controller was unable to update the target scale: {err.message}"
            draft.say(Condition("AbleToScale", False, "FailedUpdateScale", text))
            return False
        text = f"the HPA controller was able to update the target scale to {wanted}"
        draft.say(Condition("AbleToScale", True, "SucceededRescale", text))
        self._env.events.event(
            autoscaler, "Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {why}"
        )
        key, spec = objects.key(autoscaler), objects.spec(autoscaler)
        self._memories[key] = limits.scaled(spec, self._memories[key], before, wanted, draft.now)
        draft.status["lastScaleTime"] = timestamps.format_time(draft.now)
        return True

    async def _resource(self, reference: Object) -> resources.Resource:
        """Find the resource of a reference's kind. Raises ApiError, LookupError."""
        api_version, kind = reference.get("apiVersion", ""), reference["kind"]
        known = resources.by_kind(api_version, kind)
        if known is not None:
            return known
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{version or 'v1'}"
        document = orjson.loads(await self._env.client.raw("GET", path))
        for row in document.get("resources") or ():
            if row["kind"] == kind and "/" not in row["name"]:
                return resources.Resource(
                    group, version, kind, row["name"], row.get("singularName", ""), bool(row["namespaced"])
                )
        raise LookupError(f'no matches for kind "{kind}" in group "{group}"')

    def _warn(self, autoscaler: Object, reason: str, message: str) -> None:
        self._env.events.event(autoscaler, "Warning", reason, message)


def tolerance_of(spec: Object) -> Tolerance:
    """Read the tolerances of an autoscaler's behavior."""
    behavior, usual = spec.get("behavior") or {}, Tolerance()
    found = [
        float(quantity.parse(text).amount) if text is not None else default
        for text, default in (
            ((behavior.get("scaleDown") or {}).get("tolerance"), usual.down),
            ((behavior.get("scaleUp") or {}).get("tolerance"), usual.up),
        )
    ]
    return Tolerance(*found)


def _amount(resource: str, milli: int) -> str:
    """Print an amount as metrics servers do: memory in binary units."""
    if resource == "memory" and milli % 1000 == 0:
        return str(quantity.from_value(milli // 1000, quantity.BINARY_SI))
    return str(quantity.from_milli(milli))


def _failure(metric: Object) -> str:
    match metric["type"]:
        case "Resource":
            return f"failed to get {metric['resource']['name']} resource metric value"
        case "ContainerResource":
            return f"failed to get {metric['containerResource']['container']} container metric value"
        case "Pods":
            return "failed to get pods metric value"
        case "Object":
            return "failed to get object metric value"
    return f"failed to get {metric['external']['metric']['name']} external metric value"
