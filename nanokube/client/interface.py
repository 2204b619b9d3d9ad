"""What a client of the API can do, whether it speaks HTTPS or is a fake in memory. Pure."""

import dataclasses
import enum
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from nanokube.api import resources
from nanokube.api.objects import Object


class PatchKind(enum.StrEnum):
    """Content types of PATCH bodies."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectList:
    """One answer to LIST; continue_ is non-empty while more pages follow."""

    items: list[dict[str, Any]]
    resource_version: str
    continue_: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a WATCH: type is ADDED, MODIFIED, DELETED or BOOKMARK. ERROR is raised, never yielded."""

    type: str
    object: dict[str, Any]


class ApiClient(Protocol):
    """The verbs of the API.

    Every call raises nanokube.api.errors.ApiError when the server answered with a failure, and OSError
    (ConnectionError, TimeoutError, ...) when there was no answer. namespace="" means all namespaces in
    list and watch, and cluster scope, or the object's own metadata.namespace, elsewhere.
    """

    async def get(
        self, resource: resources.Resource, name: str, namespace: str = "", *, subresource: str = ""
    ) -> dict[str, Any]: ...

    async def list(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> ObjectList: ...

    def watch(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        allow_bookmarks: bool = True,
        timeout_s: int = 0,
    ) -> AsyncGenerator[WatchEvent, None]: ...

    async def create(
        self,
        resource: resources.Resource,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
    ) -> dict[str, Any]: ...

    async def update(
        self, resource: resources.Resource, obj: Object, *, subresource: str = ""
    ) -> dict[str, Any]: ...

    async def patch(
        self,
        resource: resources.Resource,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> dict[str, Any]: ...

    async def delete(
        self,
        resource: resources.Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> dict[str, Any]: ...

    async def delete_collection(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> None: ...

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send any request, for paths that are no resource's (/version, /apis, /readyz)."""
        ...
