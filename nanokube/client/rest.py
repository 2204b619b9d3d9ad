"""The REST client: HTTP(S) to an API server over a pool of kept-alive connections."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Never, Self, TypeVar

import aiohttp
import orjson

from nanokube.api import errors, resources
from nanokube.api.objects import Object
from nanokube.client import kubeconfig, query
from nanokube.client.interface import ObjectList, PatchKind, WatchEvent
from nanokube.kit import backoff, tls

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 60.0  # the server's own --request-timeout, apiserver pkg/server/config.go
KEEPALIVE_S = 90.0  # net/http's IdleConnTimeout in client-go's transport
JSON = "application/json"


@dataclasses.dataclass(slots=True, eq=False)
class _Pool:
    """The connections of one identity. users: requests under way; a retired pool closes after the last."""

    session: aiohttp.ClientSession
    users: int = 0
    is_retired: bool = False


class Client:
    """An ApiClient over HTTP. Use it as an async context manager: leaving it closes the connections."""

    def __init__(
        self,
        access: kubeconfig.Access,
        *,
        user_agent: str = "nanokube",
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._access = access
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._endless = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        self._ssl = access.ssl_context()
        self._pool: _Pool | None = None
        self._retired: set[_Pool] = set()

    @classmethod
    def from_kubeconfig(cls, path: Path, *, context: str = "", user_agent: str = "nanokube") -> Self:
        """Read a kubeconfig. Raises KubeconfigError, OSError."""
        return cls(kubeconfig.load(Path(path), context=context), user_agent=user_agent)

    @property
    def server(self) -> str:
        """The server's base address, without a slash at the end."""
        return self._access.server

    async def __aenter__(self) -> Self:
        self._pool = self._new_pool()
        return self

    def _new_pool(self) -> _Pool:
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEEPALIVE_S, ssl=self._ssl if self._ssl else True, ttl_dns_cache=300
        )
        session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept": JSON},
            auth=self._basic_auth(),
            timeout=self._timeout,
            auto_decompress=True,
            trust_env=False,
        )
        return _Pool(session)

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        pools = [*self._retired, *([self._pool] if self._pool is not None else [])]
        self._pool = None
        self._retired.clear()
        for pool in pools:
            await pool.session.close()

    async def become(self, access: kubeconfig.Access) -> None:
        """Go on with other credentials: requests under way end with those they began with."""
        self._ssl = access.ssl_context()
        self._access = access
        old, self._pool = self._pool, self._new_pool()
        if old is not None:
            old.is_retired = True
            self._retired.add(old)
            await self._leave(old)

    async def follow(self, path: Path) -> Never:
        """Take the credentials of a kubeconfig whenever it, or a file it names, changes. Until cancelled."""

        async def reload() -> None:
            try:
                access = kubeconfig.load(path)
                if access != self._access:
                    await self.become(access)
                    log.info("credentials taken: file=%s", path)
            except (kubeconfig.KubeconfigError, OSError) as err:
                log.warning("credentials not taken: file=%s error=%s", path, err)

        await tls.on_change(kubeconfig.files(path), reload)

    async def _leave(self, pool: _Pool) -> None:
        if pool.is_retired and not pool.users and pool in self._retired:
            self._retired.discard(pool)
            await pool.session.close()

    async def get(
        self, resource: resources.Resource, name: str, namespace: str = "", *, subresource: str = ""
    ) -> dict[str, Any]:
        """Read one object. Raises ApiError (404 not found)."""
        return await self._object("GET", resource.path(namespace, name, subresource))

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
    ) -> ObjectList:
        """Read a collection, or one page of it. Raises ApiError (410 when the page's revision is gone)."""
        params = query.of(
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_=continue_,
            resource_version=resource_version,
        )
        answer = await self._object("GET", resource.path(namespace), params=params)
        return _object_list(resource, answer)

    async def watch(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        allow_bookmarks: bool = True,
        timeout_s: int = 0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after resource_version until the server ends the watch.

        An ERROR event is raised as ApiError (410: list again). Close the generator (contextlib.aclosing)
        when leaving early: it holds a connection.
        """
        params = query.of(
            watch=True,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            allow_watch_bookmarks=allow_bookmarks,
            timeout_seconds=timeout_s,
        )
        async with self._request(
            "GET", resource.path(namespace), params=params, timeout=self._endless
        ) as response:
            async for line in _lines(response.content):
                yield _watch_event(line)

    async def create(
        self,
        resource: resources.Resource,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
    ) -> dict[str, Any]:
        """Create an object, or POST to a subresource of the object called name (binding, eviction, token)."""
        namespace = namespace or obj.get("metadata", {}).get("namespace", "")
        return await self._object("POST", resource.path(namespace, name, subresource), body=obj)

    async def update(
        self, resource: resources.Resource, obj: Object, *, subresource: str = ""
    ) -> dict[str, Any]:
        """Replace an object; metadata.resourceVersion, if present, must be current (409 otherwise)."""
        meta = obj["metadata"]
        path = resource.path(meta.get("namespace", ""), meta["name"], subresource)
        return await self._object("PUT", path, body=obj)

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
    ) -> dict[str, Any]:
        """Change part of an object; APPLY needs field_manager, and force to take fields from others."""
        params = query.of(field_manager=field_manager, force=force)
        path = resource.path(namespace, name, subresource)
        return await self._object("PATCH", path, params=params, body=body, content_type=kind.value)

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
    ) -> dict[str, Any]:
        """Delete an object; uid and resource_version are preconditions (409 when they do not hold)."""
        options = delete_options(grace_period_s, propagation, uid, resource_version)
        return await self._object("DELETE", resource.path(namespace, name), body=options)

    async def delete_collection(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> None:
        """Delete every object of a collection that the selectors choose."""
        params = query.of(label_selector=label_selector, field_selector=field_selector)
        options = delete_options(grace_period_s, propagation)
        await self._object("DELETE", resource.path(namespace), params=params, body=options)

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send any request and read the whole answer."""
        async with self._request(method, path, params=params, data=body or None, headers=headers) as response:
            return await response.read()

    async def stream(self, path: str, *, params: Mapping[str, str] | None = None) -> AsyncIterator[bytes]:
        """GET a path and yield its bytes as they come (logs with follow=true)."""
        async with self._request("GET", path, params=params, timeout=self._endless) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    async def _object(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type} if data is not None else None
        async with self._request(method, path, params=params, data=data, headers=headers) as response:
            answer: dict[str, Any] = orjson.loads(await response.read() or b"{}")
            return answer

    @contextlib.asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        pool = self._pool
        if pool is None:
            raise RuntimeError("cannot use a client outside its `async with`")
        pool.users += 1
        try:
            async with pool.session.request(
                method,
                self._access.server + path,
                params=params,
                data=data,
                headers={**self._bearer(), **(headers or {})},
                timeout=timeout or self._timeout,
                server_hostname=self._access.server_name or None,
                allow_redirects=False,
            ) as response:
                if response.status >= 400:
                    raise _failure(response.status, await response.read())
                yield response
        except aiohttp.ClientError as err:
            if isinstance(err, OSError):
                raise
            # Payload cut off, server disconnected: one family for callers, "there was no answer".
            raise ConnectionError(f"cannot {method} {path}: {type(err).__name__}: {err}") from err
        finally:
            pool.users -= 1
            await self._leave(pool)

    def _bearer(self) -> dict[str, str]:
        token = self._access.token
        if self._access.token_file is not None:
            # Read anew each time: bound tokens are rotated under our feet.
            with contextlib.suppress(OSError):
                token = self._access.token_file.read_text().strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _basic_auth(self) -> aiohttp.BasicAuth | None:
        access = self._access
        return aiohttp.BasicAuth(access.username, access.password) if access.username else None


def delete_options(
    grace_period_s: int | None = None, propagation: str = "", uid: str = "", resource_version: str = ""
) -> dict[str, Any] | None:
    """Build a DeleteOptions body; None when nothing is asked."""
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    options: dict[str, Any] = {
        "gracePeriodSeconds": grace_period_s,
        "propagationPolicy": propagation or None,
        "preconditions": {key: value for key, value in preconditions.items() if value} or None,
    }
    options = {key: value for key, value in options.items() if value is not None}
    return {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else None


async def when_reachable(
    call: Callable[[], Awaitable[T]], *, attempts: int = 0, delays: backoff.Backoff | None = None
) -> T:
    """Await call() again while the server cannot be reached or is overloaded; 0 attempts: for ever.

    Overloaded is 429 and 503; another ApiError is raised at once, and the last failure in the end.
    """
    delays = delays or backoff.Backoff(first_s=0.05, cap_s=5.0)
    while True:
        try:
            return await call()
        except OSError as err:
            failure: Exception = err
        except errors.ApiError as err:
            if err.code not in (429, 503):
                raise
            failure = err
        wait_s = delays.next()
        if attempts and delays.failures >= attempts:
            raise failure
        log.debug("retrying: error=%s wait_s=%.2f", failure, wait_s)
        await asyncio.sleep(wait_s)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream at newlines; a line has no length limit."""
    pending: list[bytes] = []
    async for chunk in content.iter_any():
        head, *rest = chunk.split(b"\n")
        pending.append(head)
        for line in rest:
            whole = b"".join(pending)
            pending = [line]
            if whole.strip():
                yield whole


def _watch_event(line: bytes) -> WatchEvent:
    event = orjson.loads(line)
    if event["type"] == "ERROR":
        raise errors.from_status(event["object"])
    return WatchEvent(event["type"], event["object"])


def _object_list(resource: resources.Resource, answer: dict[str, Any]) -> ObjectList:
    meta = answer.get("metadata") or {}
    items = answer.get("items") or []
    for item in items:
        # Upstream omits the type of list items; consumers (events, owner references) want it.
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", resource.kind)
    return ObjectList(items, meta.get("resourceVersion", ""), meta.get("continue", ""))


def _failure(status: int, body: bytes) -> errors.ApiError:
    with contextlib.suppress(orjson.JSONDecodeError):
        decoded = orjson.loads(body)
        if isinstance(decoded, dict) and decoded.get("kind") == "Status":
            return errors.from_status(decoded, code=status)
    text = body[:256].decode(errors="replace").strip()
    return errors.from_status({"message": text or f"HTTP {status}"}, code=status)
