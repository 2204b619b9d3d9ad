"""A container's environment: envFrom, env and Service variables, in this order of precedence. Pure.

Source: pkg/kubelet/kubelet_pods.go makeEnvironmentVariables.
"""

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.kubelet.containers import env_file, expansion, fields

Object = Mapping[str, Any]


class EnvironmentFault(ValueError):
    """The environment cannot be made now: a reference is missing. Shows as CreateContainerConfigError."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """What values may come from. config_maps, secrets: by name, of the Pod's namespace; absent if missing.

    files: texts by volume and path; absent if missing.
    """

    config_maps: Mapping[str, Object]
    secrets: Mapping[str, Object]
    services: Mapping[str, str]
    allocatable: Mapping[str, str]
    host_ips: Sequence[str] = ()
    pod_ips: Sequence[str] = ()
    files: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)


def files(container: Object) -> set[tuple[str, str]]:
    """Name the files that a container's environment reads: volume and path."""
    refs = ((each.get("valueFrom") or {}).get("fileKeyRef") for each in container.get("env") or ())
    return {(ref["volumeName"], ref["path"]) for ref in refs if ref}


def references(container: Object) -> tuple[set[str], set[str]]:
    """Name the ConfigMaps and the Secrets that a container's environment reads."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for source in container.get("envFrom") or ():
        if ref := source.get("configMapRef"):
            config_maps.add(ref["name"])
        if ref := source.get("secretRef"):
            secrets.add(ref["name"])
    for variable in container.get("env") or ():
        value_from = variable.get("valueFrom") or {}
        if ref := value_from.get("configMapKeyRef"):
            config_maps.add(ref["name"])
        if ref := value_from.get("secretKeyRef"):
            secrets.add(ref["name"])
    return config_maps, secrets


def build(pod: Object, container: Object, sources: Sources) -> dict[str, str]:
    """Return the variables in the order they are to be set. Raises EnvironmentFault."""
    result: dict[str, str] = {}
    namespace = pod["metadata"]["namespace"]
    for source in container.get("envFrom") or ():
        result.update(_from_source(source, namespace, sources))
    for variable in container.get("env") or ():
        value = _value(variable, pod, container, {**sources.services, **result}, sources)
        if value is not None:
            result[variable["name"]] = value
    for name, value in sources.services.items():
        result.setdefault(name, value)
    return result


def _from_source(source: Object, namespace: str, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if ref := source.get("configMapRef"):
        found = sources.config_maps.get(ref["name"])
        data = dict(found.get("data") or {}) if found is not None else None
        kind = "configmap"
    elif ref := source.get("secretRef"):
        found = sources.secrets.get(ref["name"])
        data = decoded(found) if found is not None else None
        kind = "secret"
    else:
        return {}
    if data is None:
        if ref.get("optional"):
            return {}
        raise EnvironmentFault(f'{kind} "{ref["name"]}" not found')
    # Names with "=" or control characters cannot be environment variables.
    return {prefix + key: data[key] for key in sorted(data) if _is_name(prefix + key)}


def _is_name(name: str) -> bool:
    return bool(name) and "=" not in name and name.isascii() and name.isprintable()


def decoded(secret: Object) -> dict[str, str]:
    """Decode a Secret's data to text; bytes that are no UTF-8 survive as surrogates."""
    return {
        key: base64.b64decode(value).decode("utf-8", "surrogateescape")
        for key, value in (secret.get("data") or {}).items()
    }


def _value(
    variable: Object, pod: Object, container: Object, known: Mapping[str, str], sources: Sources
) -> str | None:
    if variable.get("value"):
        return expansion.expand(variable["value"], known)
    value_from = variable.get("valueFrom")
    if not value_from:
        return ""
    if ref := value_from.get("fieldRef"):
        try:
            return fields.field_value(
                pod, ref["fieldPath"], host_ips=sources.host_ips, pod_ips=sources.pod_ips
            )
        except fields.FieldError as error:
            raise EnvironmentFault(str(error)) from error
    if ref := value_from.get("resourceFieldRef"):
        available = fields.available(pod, sources.allocatable)
        return fields.resource_value(_named(pod, ref, container), ref, available)
    if ref := value_from.get("configMapKeyRef"):
        found = sources.config_maps.get(ref["name"])
        data = dict(found.get("data") or {}) if found is not None else None
        return _key(ref, data, pod["metadata"]["namespace"], "ConfigMap")
    if ref := value_from.get("secretKeyRef"):
        found = sources.secrets.get(ref["name"])
        return _key(
            ref, decoded(found) if found is not None else None, pod["metadata"]["namespace"], "Secret"
        )
    if ref := value_from.get("fileKeyRef"):
        return _of_file(ref, sources.files.get((ref["volumeName"], ref["path"])))
    return ""


def _of_file(ref: Object, text: str | None) -> str | None:
    where = f"file {ref['path']} of volume {ref['volumeName']}"
    try:
        found = env_file.value(text or "", ref["key"])
    except env_file.EnvFileError as error:
        raise EnvironmentFault(f"cannot read {where}: {error}") from error
    if "\0" in found:
        raise EnvironmentFault(f"cannot use {ref['key']} of {where}: it holds a NUL byte")
    if found:
        return found
    if ref.get("optional"):
        return None
    if text is None:
        raise EnvironmentFault(f"cannot find {where}")
    raise EnvironmentFault(f"cannot find environment variable {ref['key']} in {where}")


def _named(pod: Object, reference: Object, own: Object) -> Object:
    """Find the container a resourceFieldRef names; its own when it names none."""
    name = reference.get("containerName")
    if not name:
        return own
    every = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    for container in every:
        if container["name"] == name:
            return container  # type: ignore[no-any-return]
    raise EnvironmentFault(f"container {name} not found")


def _key(ref: Object, data: Mapping[str, str] | None, namespace: str, kind: str) -> str | None:
    if data is None:
        if ref.get("optional"):
            return None
        raise EnvironmentFault(f'{kind.lower()} "{ref["name"]}" not found')
    if ref["key"] not in data:
        if ref.get("optional"):
            return None
        raise EnvironmentFault(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")
    return data[ref["key"]]
