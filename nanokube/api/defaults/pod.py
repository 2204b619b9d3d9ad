"""Defaults of Pods and of pod templates. Pure. Source: pkg/apis/core/v1/defaults.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import usage

_PROBE_NUMBERS: Final = (
    ("timeoutSeconds", 1),
    ("periodSeconds", 10),
    ("successThreshold", 1),
    ("failureThreshold", 3),
)
_DEFAULT_MODE: Final = 0o644
_HOUR_S: Final = 3600
# resources that can be set for a whole pod
_POD_LEVEL: Final = ("cpu", "memory")
_HUGEPAGES: Final = "hugepages-"


def apply(pod: dict[str, Any]) -> None:
    """Fill in a Pod."""
    spec = pod.setdefault("spec", {})
    fill_spec(spec)
    if (spec["terminationGracePeriodSeconds"] or 0) < 0:  # pkg/apis/core/v1/conversion.go; templates keep it
        spec["terminationGracePeriodSeconds"] = 1
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        _requests_from_limits(container["resources"])
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)
    if spec.get("resources"):
        _pod_level_resources(spec)
    spec.setdefault("enableServiceLinks", True)


def apply_to_status(status: dict[str, Any]) -> None:
    """Make podIP and podIPs agree, whichever of them was written; podIP decides.

    Source: pkg/apis/core/v1/conversion.go (PodStatus), which keeps podIPs alone.
    """
    address, listed = status.get("podIP"), status.get("podIPs")
    if listed and not address:
        if listed[0].get("ip"):
            status["podIP"] = listed[0]["ip"]
    elif address and (listed or [{}])[0].get("ip") != address:
        status["podIPs"] = [{"ip": address}]


def fill_template(template: dict[str, Any] | None) -> None:
    """Fill in a pod template, which gets fewer defaults than a Pod."""
    if template is not None:
        template.setdefault("metadata", {})
        fill_spec(template.setdefault("spec", {}))


def fill_spec(spec: dict[str, Any]) -> None:
    """Fill in what Pods and templates share."""
    _fill_blank(spec, "dnsPolicy", "ClusterFirst")
    _fill_blank(spec, "restartPolicy", "Always")
    _fill_blank(spec, "schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field, ()):
            _fill_container(container)
    for volume in spec.get("volumes", ()):
        _fill_volume(volume)
    for constraint in spec.get("topologySpreadConstraints", ()):
        _fill_blank(constraint, "whenUnsatisfiable", "DoNotSchedule")


def pull_policy(image: str) -> str:
    """Return the default pull policy of an image reference.

    >>> pull_policy("nginx"), pull_policy("r:5000/a/b:1"), pull_policy("a@sha256:0f")
    ('Always', 'IfNotPresent', 'IfNotPresent')
    """
    bare, at, _ = image.partition("@")
    tag = bare.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or (not tag and not at) else "IfNotPresent"


def _fill_blank(target: dict[str, Any], key: str, value: str) -> None:
    if not target.get(key):
        target[key] = value


def _fill_container(container: dict[str, Any]) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    _fill_blank(container, "terminationMessagePath", "/dev/termination-log")
    _fill_blank(container, "terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in container.get("ports", ()):
        _fill_blank(port, "protocol", "TCP")
    for variable in container.get("env", ()):
        source = variable.get("valueFrom")
        if source:
            _fill_reference(source)
        if source and source.get("fileKeyRef"):
            source["fileKeyRef"].setdefault("optional", False)
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(field) is not None:
            _fill_probe(container[field])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _fill_http_get(handler.get("httpGet"))


def _fill_probe(probe: dict[str, Any]) -> None:
    for key, value in _PROBE_NUMBERS:
        if not probe.get(key):
            probe[key] = value
    _fill_http_get(probe.get("httpGet"))
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _fill_http_get(action: dict[str, Any] | None) -> None:
    if action is not None:
        _fill_blank(action, "path", "/")
        _fill_blank(action, "scheme", "HTTP")


def _fill_volume(volume: dict[str, Any]) -> None:
    if not any(isinstance(v, dict) for k, v in volume.items() if k != "name"):
        volume["emptyDir"] = {}
        return
    for field in ("configMap", "secret", "downwardAPI", "projected"):
        if field in volume:
            volume[field].setdefault("defaultMode", _DEFAULT_MODE)
    if "downwardAPI" in volume:
        _fill_items(volume["downwardAPI"])
    if "projected" in volume:
        for source in volume["projected"].get("sources") or ():
            if "serviceAccountToken" in source:
                source["serviceAccountToken"].setdefault("expirationSeconds", _HOUR_S)
            if "downwardAPI" in source:
                _fill_items(source["downwardAPI"])
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if "image" in volume and not volume["image"].get("pullPolicy"):
        volume["image"]["pullPolicy"] = pull_policy(volume["image"].get("reference", ""))
    _fill_ephemeral_claim(volume)
    fill_network_volume(volume)


def _fill_items(source: dict[str, Any]) -> None:
    for item in source.get("items", ()):
        _fill_reference(item)


def _fill_reference(source: dict[str, Any]) -> None:
    if source.get("fieldRef") is not None:
        _fill_blank(source["fieldRef"], "apiVersion", "v1")
    if source.get("resourceFieldRef") is not None:
        source["resourceFieldRef"].setdefault("divisor", "0")


def _fill_ephemeral_claim(volume: dict[str, Any]) -> None:
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template:
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def fill_network_volume(volume: dict[str, Any]) -> None:
    """Fill in volumes of other machines, of Pods and PersistentVolumes."""
    if "iscsi" in volume:
        _fill_blank(volume["iscsi"], "iscsiInterface", "default")
    if "rbd" in volume:
        rbd = volume["rbd"]
        _fill_blank(rbd, "pool", "rbd")
        _fill_blank(rbd, "user", "admin")
        _fill_blank(rbd, "keyring", "/etc/ceph/keyring")
    if "azureDisk" in volume:
        disk = volume["azureDisk"]
        _fill_blank(disk, "cachingMode", "ReadWrite")
        _fill_blank(disk, "kind", "Shared")
        disk.setdefault("fsType", "ext4")
        disk.setdefault("readOnly", False)
    if "scaleIO" in volume:
        _fill_blank(volume["scaleIO"], "storageMode", "ThinProvisioned")
        _fill_blank(volume["scaleIO"], "fsType", "xfs")


def _requests_from_limits(resources: dict[str, Any]) -> None:
    limits = resources.get("limits")
    if limits is not None:
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _pod_level_resources(spec: dict[str, Any]) -> None:
    resources = spec["resources"]
    limits = _pod_limits(spec, resources)
    if not limits:
        return
    requests = dict(resources.get("requests") or {})
    for key, total in usage.pod_amounts(_alone(spec), "requests").items():
        if key in _POD_LEVEL:
            requests.setdefault(key, str(total))
    for key, value in limits.items():
        if key in _POD_LEVEL or key.startswith(_HUGEPAGES):
            requests.setdefault(key, value)
    if requests:
        resources["requests"] = requests


def _pod_limits(spec: dict[str, Any], resources: dict[str, Any]) -> dict[str, Any]:
    """Return the Pod's own limits; of huge pages those of its containers, unless it says otherwise."""
    limits = dict(resources.get("limits") or {})
    if not limits and not resources.get("requests"):
        return limits
    for key, total in usage.pod_amounts(_alone(spec), "limits").items():
        if key.startswith(_HUGEPAGES) and key not in (resources.get("requests") or {}):
            limits.setdefault(key, str(total))
    if limits:
        resources["limits"] = limits
    return limits


def _alone(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in ("resources", "overhead")}
