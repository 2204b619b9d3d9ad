"""projected: several sources in one directory, service account tokens among them.

Source: pkg/volume/projected/projected.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.kubelet.references import References
from nanokube.kubelet.volumes import config_map, downward_api, secret
from nanokube.kubelet.volumes.atomic_writer import File
from nanokube.kubelet.volumes.errors import VolumeFault

Object = Mapping[str, Any]

DEFAULT_EXPIRATION_S = 3600


async def files(
    pod: Object,
    source: Object,
    references: References,
    *,
    allocatable: Mapping[str, str],
    host_ips: Sequence[str],
    pod_ips: Sequence[str],
) -> dict[str, File]:
    """Collect the files of every source. Raises VolumeFault, ApiError, OSError."""
    mode = source["defaultMode"] if source.get("defaultMode") is not None else 0o644
    namespace = pod["metadata"]["namespace"]
    collected: dict[str, File] = {}
    for part in source.get("sources") or ():
        if ref := part.get("configMap"):
            found = await references.config_map(namespace, ref["name"])
            collected |= config_map.files(ref, found, mode)
        elif ref := part.get("secret"):
            found = await references.secret(namespace, ref["name"])
            collected |= secret.files(ref, found, mode)
        elif ref := part.get("downwardAPI"):
            collected |= downward_api.files(
                pod,
                ref.get("items") or (),
                mode,
                allocatable=allocatable,
                host_ips=host_ips,
                pod_ips=pod_ips,
            )
        elif ref := part.get("serviceAccountToken"):
            collected[ref["path"]] = await _token(pod, ref, mode, references)
        else:
            raise VolumeFault(f"unsupported projected source: {', '.join(part)}")
    return collected


async def _token(pod: Object, source: Object, mode: int, references: References) -> File:
    expiration_s = source.get("expirationSeconds") or DEFAULT_EXPIRATION_S
    text = await references.token(pod, source.get("audience") or "", expiration_s)
    owner = _common_user(pod)
    has_group = (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None
    # A token that has an owner is nobody else's to read.
    return File(text.encode(), 0o600 if owner >= 0 or has_group else mode, owner)


def _common_user(pod: Object) -> int:
    """Return the user all containers run as, -1 when they differ or do not say."""
    outer = (pod["spec"].get("securityContext") or {}).get("runAsUser")
    users = set()
    for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        own = (container.get("securityContext") or {}).get("runAsUser")
        users.add(outer if own is None else own)
    user = users.pop() if len(users) == 1 else None
    return -1 if user is None else int(user)
