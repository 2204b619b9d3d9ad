"""Validation of APIServices. Pure.

Source: staging kube-aggregator pkg/apis/apiregistration/validation/validation.go.
"""

from __future__ import annotations

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, names

_STATUSES = ("False", "True", "Unknown")


def validate(obj: Object) -> list[FieldError]:
    """Check the spec, and that the name is the one it demands."""
    spec = objects.spec(obj)
    group, version = spec.get("group") or "", spec.get("version") or ""
    wanted, meta, found = f"{version}.{group}", objects.metadata(obj), list[FieldError]()
    for key in ("generateName", "name"):
        said = meta.get(key) or ""
        if said and said != wanted and not formats.path_segment(said):
            detail = f'must be `spec.version+"."+spec.group`: {field.quote(wanted)}'
            found.append(field.invalid(f"metadata.{key}", said, detail))
    if not group and version != "v1":
        detail = "only v1 may have an empty group and it better be legacy kube"
        found.append(field.required("spec.group", detail))
    if group:
        found += (field.invalid("spec.group", group, text) for text in names.dns_subdomain(group))
    found += (field.invalid("spec.version", version, text) for text in names.dns1035_label(version))
    for key, most in (("groupPriorityMinimum", 20_000), ("versionPriority", 1000)):
        if not 0 < (spec.get(key) or 0) <= most:
            detail = f"must be positive and less than {most}"
            found.append(field.invalid(f"spec.{key}", spec.get(key) or 0, detail))
    return found + _service(spec)


def _service(spec: Object) -> list[FieldError]:
    service, found = spec.get("service"), []
    bundle, is_insecure = spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify"))
    if service is None:
        if bundle:
            size = f"{len(bundle) * 3 // 4 - bundle.count('=')} bytes"
            found.append(field.invalid("spec.caBundle", size, "local APIServices may not have a caBundle"))
        if is_insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            found.append(field.invalid("spec.insecureSkipTLSVerify", True, detail))
        return found
    found += (
        field.required(f"spec.service.{key}", "") for key in ("namespace", "name") if not service.get(key)
    )
    port = service.get("port") or 0
    if not 0 < port < 65536:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        found.append(field.invalid("spec.service.port", port, detail))
    if is_insecure and bundle:
        detail = "may not be true if caBundle is present"
        found.append(field.invalid("spec.insecureSkipTLSVerify", True, detail))
    return found


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the conditions."""
    return [
        field.not_supported(f"status.conditions[{n}].status", c.get("status") or "", _STATUSES)
        for n, c in enumerate(objects.status(new).get("conditions") or ())
        if c.get("status") not in _STATUSES
    ]
