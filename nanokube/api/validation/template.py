"""Validation of pod templates, which all workloads share. Pure.

Source: pkg/apis/core/validation/validation.go, ValidatePodTemplateSpec.
"""

from __future__ import annotations

from nanokube.api import field, objects, selectors
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, pod_annotations, pod_spec


def validate(template: Object | None, path: str) -> list[FieldError]:
    """Check the labels, annotations and Pod of a template."""
    if template is None:
        return [field.required(path)]
    found = metadata.labels(objects.labels(template), f"{path}.labels")
    found += metadata.annotations(objects.annotations(template), f"{path}.annotations")
    found += pod_annotations.validate(
        objects.annotations(template), objects.spec(template), f"{path}.annotations"
    )
    found += pod_spec.validate(objects.spec(template), f"{path}.spec")
    found += pod_annotations.agree(objects.annotations(template), objects.spec(template), f"{path}.spec")
    if objects.spec(template).get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        found.append(field.forbidden(f"{path}.spec.ephemeralContainers", detail))
    return found


def matches(spec: Object, path: str) -> list[FieldError]:
    """Check that a workload's selector selects its template."""
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels")
    if metadata.label_selector(spec.get("selector"), ""):
        return []  # reported with the selector
    if selectors.from_object(spec.get("selector")).matches(labels or {}):
        return []
    detail = "`selector` does not match template `labels`"
    return [field.invalid(f"{path}.template.metadata.labels", labels, detail)]


def always(template: Object | None, path: str, kind: str) -> list[FieldError]:
    """Check what Pods that run for ever may not have."""
    pod, found = objects.spec(template or {}), list[FieldError]()
    if pod.get("restartPolicy") != "Always":
        found.append(field.not_supported(f"{path}.spec.restartPolicy", pod.get("restartPolicy"), ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(field.forbidden(f"{path}.spec.activeDeadlineSeconds", detail))
    return found
