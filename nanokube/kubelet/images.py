"""Makes a container's image present: pull policies, pull secrets, back-off and events.

Source: pkg/kubelet/images/image_manager.go, pkg/credentialprovider/keyring.go; names: normalize.go of
distribution/reference.
"""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import errors
from nanokube.client.events import Recorder, reference_to
from nanokube.kit import clock
from nanokube.kubelet.backoff import Backoffs
from nanokube.kubelet.references import References
from nanokube.kubelet.runtime import FaultKind, Runtime, RuntimeFault

Object = Mapping[str, Any]

# distribution's reference grammar, loosely: enough to tell a name from garbage.
_REFERENCE = re.compile(
    r"(?:[a-zA-Z0-9.\-\[\]:]+/)?[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
MAX_PARALLEL = 4


class ImageFault(Exception):
    """No image. reason: ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName, ..."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Images:
    """Pulls for all Pods of the node; the same image is pulled once at a time."""

    def __init__(
        self,
        runtime: Runtime,
        references: References,
        recorder: Recorder,
        time: clock.Clock = clock.SYSTEM,
    ) -> None:
        self._runtime = runtime
        self._references = references
        self._recorder = recorder
        self._clock = time
        self._backoffs = Backoffs()
        self._slots = asyncio.Semaphore(MAX_PARALLEL)
        self._pulling: dict[str, asyncio.Lock] = {}
        self._failures: dict[str, float] = {}
        self._causes: dict[str, str] = {}

    async def ensure(self, pod: Object, container: Object, sandbox: pb.PodSandboxConfig | None) -> pb.Image:
        """Return the image, pulled if the policy says so. Raises ImageFault."""
        reference = container["image"]
        about = reference_to(pod, field_path=field_path(pod, container["name"]))
        if wrong := naming_fault(reference):
            message = (
                f'Failed to apply default image tag "{reference}": '
                f'couldn\'t parse image name "{reference}": {wrong}'
            )
            self._recorder.event(about, "Warning", "InspectFailed", message)
            raise ImageFault("InvalidImageName", message)
        policy = container.get("imagePullPolicy") or default_policy(reference)
        present = await self._present(reference, about)
        if policy == "Never" or (policy == "IfNotPresent" and present is not None):
            return self._without_pull(reference, present, about)
        return await self._pull(pod, reference, policy, about, sandbox)

    async def _present(self, reference: str, about: Object) -> pb.Image | None:
        try:
            return await self._runtime.image_status(reference)
        except RuntimeFault as fault:
            message = f'Failed to inspect image "{reference}": {fault.message}'
            self._recorder.event(about, "Warning", "InspectFailed", message)
            raise ImageFault("ImageInspectError", message) from fault

    def _without_pull(self, reference: str, present: pb.Image | None, about: Object) -> pb.Image:
        if present is None:
            message = f'Container image "{reference}" is not present with pull policy of Never'
            self._recorder.event(about, "Warning", "ErrImageNeverPull", message)
            raise ImageFault("ErrImageNeverPull", message)
        message = f'Container image "{reference}" already present on machine and can be accessed by the pod'
        self._recorder.event(about, "Normal", "Pulled", message)
        return present

    async def _pull(
        self,
        pod: Object,
        reference: str,
        policy: str,
        about: Object,
        sandbox: pb.PodSandboxConfig | None,
    ) -> pb.Image:
        """Fetch an image, unless its back-off still runs; one at a time. Raises ImageFault."""
        key = f"{pod['metadata']['uid']}/{reference}"
        now = self._clock.time()
        if self._backoffs.ready_at(key, self._failed_at(key)) > now:
            message = f'Back-off pulling image "{reference}"'
            self._recorder.event(about, "Normal", "BackOff", message)
            raise ImageFault("ImagePullBackOff", f"{message}: {self._causes.get(key, '')}")
        began = self._clock.monotonic()
        lock = self._pulling.setdefault(reference, asyncio.Lock())
        async with lock, self._slots:
            if policy == "IfNotPresent" and (present := await self._present(reference, about)):
                return self._without_pull(reference, present, about)
            waited = self._clock.monotonic() - began
            self._recorder.event(about, "Normal", "Pulling", f'Pulling image "{reference}"')
            started = self._clock.monotonic()
            try:
                await self._pull_with_secrets(pod, reference, sandbox)
                image = await self._runtime.image_status(reference)
            except RuntimeFault as fault:
                raise self._failed(key, reference, fault, about) from fault
        if image is None:
            gone = RuntimeFault(FaultKind.NOT_FOUND, "the image is gone right after its pull")
            raise self._failed(key, reference, gone, about)
        self._backoffs.forget(key)
        took = self._clock.monotonic() - started
        message = (
            f'Successfully pulled image "{reference}" in {_duration(took)} '
            f"({_duration(took + waited)} including waiting). Image size: {image.size} bytes."
        )
        self._recorder.event(about, "Normal", "Pulled", message)
        return image

    def _failed_at(self, key: str) -> float:
        return self._failures.get(key, 0.0)

    def _failed(self, key: str, reference: str, fault: RuntimeFault, about: Object) -> ImageFault:
        now = self._clock.time()
        self._backoffs.next(key, self._failed_at(key) or now, now)
        self._failures[key] = now
        message = f'failed to pull and unpack image "{reference}": {fault.message}'
        self._causes[key] = f"ErrImagePull: {message}"
        self._recorder.event(
            about, "Warning", "Failed", f'Failed to pull image "{reference}": {fault.message}'
        )
        return ImageFault("ErrImagePull", message)

    def retry_at(self, pod: Object, reference: str) -> float:
        """Return when a failed pull may be tried again."""
        key = f"{pod['metadata']['uid']}/{reference}"
        return self._backoffs.ready_at(key, self._failed_at(key))

    def forget(self, uid: str) -> None:
        """Drop what is counted for a Pod."""
        self._backoffs.forget(f"{uid}/")
        for memory in (self._failures, self._causes):
            for key in [key for key in memory if key.startswith(f"{uid}/")]:
                del memory[key]

    async def _pull_with_secrets(
        self, pod: Object, reference: str, sandbox: pb.PodSandboxConfig | None
    ) -> None:
        """Try each credential that fits, then none; the first success counts, the last failure is told."""
        credentials: list[pb.AuthConfig | None] = list(await self._credentials(pod, reference))
        last: RuntimeFault | None = None
        for auth in credentials or [None]:
            try:
                await self._runtime.pull_image(reference, auth, sandbox)
                return
            except RuntimeFault as fault:
                last = fault
        assert last is not None
        raise last

    async def _credentials(self, pod: Object, reference: str) -> list[pb.AuthConfig]:
        found = []
        for ref in pod["spec"].get("imagePullSecrets") or ():
            try:
                secret = await self._references.secret(pod["metadata"]["namespace"], ref["name"])
            except (errors.ApiError, OSError):
                continue  # upstream too goes on without it: the image may be public
            if secret is not None:
                found.extend(credentials(secret, reference))
        return found


def is_valid(reference: str) -> bool:
    """Tell whether a reference can name an image."""
    return not naming_fault(reference)


def naming_fault(reference: str) -> str:
    """Say why a reference cannot name an image, "" if it can. Pure."""
    if re.fullmatch(r"[0-9a-f]{64}", reference):
        return f"invalid repository name ({reference}), cannot specify 64-byte hexadecimal strings"
    head, slash, rest = reference.partition("/")
    is_host = slash and (set(".:") & set(head) or head == "localhost" or head != head.lower())
    name = (rest if is_host else reference).partition(":")[0]
    if name != name.lower():
        return f"invalid reference format: repository name ({name}) must be lowercase"
    if not reference or len(reference) >= 512 or _REFERENCE.fullmatch(reference) is None:
        return "invalid reference format"
    return ""


def default_policy(reference: str) -> str:
    """Choose a policy as the API server's defaults do: Always for :latest or no tag."""
    name, _, digest = reference.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if digest or (tag and tag != "latest") else "Always"


def registry_of(reference: str) -> str:
    """Name the registry host of a reference, Docker Hub where it names none."""
    head, slash, _ = reference.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return head
    return "docker.io"


def credentials(secret: Object, reference: str) -> list[pb.AuthConfig]:
    """Read the credentials for a reference's registry from a pull secret. Pure."""
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            auths = json.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
        elif ".dockercfg" in data:
            auths = json.loads(base64.b64decode(data[".dockercfg"]))
        else:
            return []
        return [_auth(entry, server) for server, entry in auths.items() if _fits(server, reference)]
    except (ValueError, AttributeError):
        return []


def _fits(server: str, reference: str) -> bool:
    place = server.partition("://")[2] or server
    host, _, path = place.partition("/")
    registry = registry_of(reference)
    hub = {"docker.io", "index.docker.io", "registry-1.docker.io"}
    if host != registry and not (host in hub and registry in hub):
        return False
    path = path.strip("/")
    return path in ("", "v1", "v2") or f"{host}/{path}" in reference


def _auth(entry: Object, server: str) -> pb.AuthConfig:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth") and not username:
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return pb.AuthConfig(
        username=username,
        password=password,
        server_address=server,
        identity_token=entry.get("identitytoken") or "",
        registry_token=entry.get("registrytoken") or "",
    )


def field_path(pod: Object, name: str) -> str:
    """Point an event at a container: spec.containers{app}."""
    for field in ("containers", "initContainers", "ephemeralContainers"):
        if any(container["name"] == name for container in pod["spec"].get(field) or ()):
            return f"spec.{field}{{{name}}}"
    return ""


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds < 1 else f"{seconds:.3f}s"
