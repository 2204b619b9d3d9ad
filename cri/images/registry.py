"""A registry client: manifests and blobs over HTTP, with tokens, mirrors, retries, resumption. Blocking.

Source: OCI distribution-spec v1.1; containerd core/remotes/docker (order of hosts, `ns` parameter).
"""

import contextlib
import datetime
import json
import logging
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import urllib3

from cri.images import auth as auths
from cri.images import errors, manifest
from cri.images.errors import ImageError, Kind
from cri.images.hosts import Endpoint, is_loopback
from cri.images.image import Auth
from cri.images.manifest import Descriptor
from cri.images.reference import Reference

log = logging.getLogger(__name__)
_T = TypeVar("_T")

_ACCEPT = ", ".join((*manifest.INDEX_TYPES, *manifest.MANIFEST_TYPES))
_TRIES = 5
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_REDIRECTS_MAX = 8
_CHUNK_BYTES = 1 << 18
_TOKEN_BYTES_MAX = 1 << 20
_ERROR_BYTES_MAX = 1 << 14
_WAIT_S_MAX = 60.0  # however long a registry asks us to wait
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class Sink(Protocol):
    """Where a blob goes: `downloads.Part`."""

    size: int

    def write(self, data: bytes) -> None: ...

    def restart(self, *, is_wrong: bool = False) -> None: ...

    def verify(self, blob: Descriptor) -> bool: ...


class Client:
    """Speaks to the endpoints of one registry about one repository. Thread-safe."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        reference: Reference,
        auth: Auth | None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.reference = reference
        self._endpoints = endpoints
        self._auth = auth
        self._aborted = threading.Event()
        self._sleep = sleep or self._aborted.wait
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._authorization: dict[str, str] = {}

    def abort(self) -> None:
        """Make downloads under way fail soon."""
        self._aborted.set()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def digest(self, tag: str) -> str:
        """Ask what a tag means without fetching it, which counts against no limit. Empty if nobody tells."""
        name = f"{self.reference.name}:{tag}"

        for endpoint in self._endpoints:
            if not endpoint.can_resolve:
                continue
            try:
                headers = {"Accept": _ACCEPT}
                with self._get(endpoint, f"manifests/{tag}", headers, name, method="HEAD") as response:
                    return response.headers.get("Docker-Content-Digest", "")
            except (ImageError, _RetryError, urllib3.exceptions.HTTPError) as err:
                log.debug("cannot ask for digest, reference=%s error=%s", name, err)
        return ""

    def manifest(self, target: str) -> bytes:
        """Fetch a manifest or index by tag or digest; a digest is verified. Raises ImageError."""
        name = f"{self.reference.name}{'@' if ':' in target else ':'}{target}"

        def fetch(endpoint: Endpoint) -> bytes:
            with self._get(endpoint, f"manifests/{target}", {"Accept": _ACCEPT}, name) as response:
                data = _read_at_most(response, manifest.DOCUMENT_BYTES_MAX, name)
            if ":" in target and manifest.digest_of(data) != target:
                raise errors.corrupt(f"{name}: content is {manifest.digest_of(data)}")
            return data

        return self._first(name, fetch, resolving=":" not in target)

    def document(self, blob: Descriptor) -> bytes:
        """Fetch a small blob, verified. Raises ImageError."""
        if blob.size > manifest.DOCUMENT_BYTES_MAX:
            raise errors.too_big(f"{blob.digest}: longer than {manifest.DOCUMENT_BYTES_MAX} bytes")

        def fetch(endpoint: Endpoint) -> bytes:
            with self._get(endpoint, f"blobs/{blob.digest}", {}, blob.digest) as response:
                data = _read_at_most(response, blob.size, blob.digest)
            if manifest.digest_of(data) != blob.digest:
                raise errors.corrupt(f"{blob.digest}: content is {manifest.digest_of(data)}")
            return data

        return self._first(blob.digest, fetch)

    def blob(self, blob: Descriptor, sink: Sink, progress: Callable[[int], None]) -> None:
        """Download the rest of a blob, verified; what breaks off is resumed. Raises ImageError."""
        self._first(
            blob.digest, lambda endpoint: self._download(endpoint, blob, sink, progress), lambda: sink.size
        )

    def _first(
        self,
        what: str,
        fetch: Callable[[Endpoint], _T],
        progress: Callable[[], int] = lambda: 0,
        *,
        resolving: bool = False,
    ) -> _T:
        """Ask the endpoints in turn; the last one's failure is the caller's."""
        usable = [e for e in self._endpoints if e.can_resolve or not resolving]
        for number, endpoint in enumerate(usable, 1):
            try:
                return self._retried(endpoint, fetch, progress)
            except ImageError as err:
                if number == len(usable) or self._aborted.is_set():
                    raise
                log.info("tried next host, host=%s what=%s error=%s", endpoint.host, what, err)
        raise errors.not_found(f"{what}: no host can resolve it")

    def _retried(
        self, endpoint: Endpoint, fetch: Callable[[Endpoint], _T], progress: Callable[[], int]
    ) -> _T:
        """Try several times; a try that got further than those before does not count."""
        attempt, furthest = 0, progress()
        while True:
            wait_s = 0.0
            try:
                return fetch(endpoint)
            except urllib3.exceptions.HTTPError as err:
                failure = ImageError(Kind.UNAVAILABLE, f"cannot reach {endpoint.host}: {_reason(err)}")
                is_final = _is_final(err)
            except _RetryError as err:
                failure, is_final, wait_s = ImageError(Kind.UNAVAILABLE, str(err)), False, err.wait_s
            attempt, furthest = (0, progress()) if progress() > furthest else (attempt + 1, furthest)
            if attempt == _TRIES or is_final or self._aborted.is_set():
                raise failure
            self._sleep(min(max(wait_s, 0.2 * 2**attempt), _WAIT_S_MAX))

    def _download(
        self, endpoint: Endpoint, blob: Descriptor, sink: Sink, progress: Callable[[int], None]
    ) -> None:
        """Continue or start a download; called again after a broken connection."""
        if sink.size >= blob.size and sink.verify(blob):
            return
        have = sink.size
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._get(endpoint, f"blobs/{blob.digest}", headers, blob.digest) as response:
            if have and not _is_rest(response, have):
                have = 0
                sink.restart()
                if response.status != 200:  # 416, or a range that we did not ask for
                    raise _RetryError(f"{blob.digest}: {endpoint.host} answered another range than asked for")
            self._receive(response, blob, sink, progress)
        if sink.size < blob.size:
            raise _RetryError(f"{blob.digest}: connection ended after {sink.size} of {blob.size} bytes")
        if not sink.verify(blob):
            if have:
                raise _RetryError(f"{blob.digest}: what was resumed is not what it should be")
            raise errors.corrupt(f"{blob.digest}: content is not what the digest says")

    def _receive(
        self,
        response: urllib3.BaseHTTPResponse,
        blob: Descriptor,
        sink: Sink,
        progress: Callable[[int], None],
    ) -> None:
        for data in response.stream(_CHUNK_BYTES, decode_content=False):
            if sink.size + len(data) > blob.size:
                sink.restart(is_wrong=True)
                raise errors.corrupt(f"{blob.digest}: longer than its {blob.size} bytes")
            if self._aborted.is_set():
                raise ImageError(Kind.UNAVAILABLE, f"{blob.digest}: pull was given up")
            sink.write(data)
            progress(sink.size)

    @contextlib.contextmanager
    def _get(
        self, endpoint: Endpoint, path: str, headers: Mapping[str, str], what: str, method: str = "GET"
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Ask below the repository, authorized, redirects followed. Raises ImageError or to retry."""
        url = f"{endpoint.url}/{self.reference.repository}/{path}"
        if endpoint.is_mirror:
            url += "?" + urllib.parse.urlencode({"ns": endpoint.registry})
        used = self._authorization.get(endpoint.url, "")
        response = self._send(endpoint, method, url, headers)
        if response.status == 401:
            challenge = response.headers.get("WWW-Authenticate", "")
            _finish(response)
            self._authorize(endpoint, challenge, used)
            response = self._send(endpoint, method, url, headers)
        try:
            if response.status != 416 or "Range" not in headers:
                _check(response, endpoint, what)
            yield response
        finally:
            _finish(response)

    def _send(
        self, endpoint: Endpoint, method: str, url: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and follow redirects; credentials go to the endpoint itself alone."""
        own = {"User-Agent": "nanokube", **dict(endpoint.headers), **headers}
        if endpoint.url in self._authorization:
            own["Authorization"] = self._authorization[endpoint.url]
        pool = self._pool(endpoint, is_own=True)
        for _ in range(_REDIRECTS_MAX):
            response = pool.request(method, url, headers=own, preload_content=False, redirect=False)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response
            _finish(response)
            target = urllib.parse.urljoin(url, location)
            if urllib.parse.urlsplit(target).netloc != urllib.parse.urlsplit(url).netloc:
                own = {"User-Agent": "nanokube", **headers}
                pool = self._pool(endpoint, is_own=False)
            if not target.startswith("https://") and not endpoint.is_plain:
                raise ImageError(Kind.UNAVAILABLE, f"{endpoint.host}: redirects from HTTPS to HTTP")
            url = target
        raise ImageError(Kind.UNAVAILABLE, f"{endpoint.host}: too many redirects")

    def _pool(self, endpoint: Endpoint, *, is_own: bool) -> urllib3.PoolManager:
        """Return the connections to an endpoint, or to where it sends us: with its CAs, not as its client."""
        with self._lock:
            pool = self._pools.get((endpoint.url, is_own))
            if pool is None:
                pool = self._pools[endpoint.url, is_own] = _pool(endpoint, is_own=is_own)
            return pool

    def _authorize(self, endpoint: Endpoint, header: str, used: str) -> None:
        """Obtain what a 401 answer asks for, unless another download did. used: what was not enough."""
        with self._lock:
            if self._authorization.get(endpoint.url, "") != used:
                return
        challenge = auths.parse_challenge(header)
        auth = self._auth
        if auth is not None and auth.registry_token:
            found = "Bearer " + auth.registry_token
        elif challenge.scheme == "basic" and auth is not None and auth.username:
            found = auths.basic(auth)
        elif challenge.scheme == "bearer":
            found = "Bearer " + self._token(endpoint, challenge)
        else:
            raise _denied(endpoint, self.reference)
        with self._lock:
            self._authorization[endpoint.url] = found

    def _token(self, endpoint: Endpoint, challenge: auths.Challenge) -> str:
        scope = f"repository:{self.reference.repository}:pull"
        asked = auths.token_request(challenge, scope, self._auth, may_be_plain=endpoint.is_plain)
        is_own = urllib.parse.urlsplit(asked.url).netloc == endpoint.host
        response = self._pool(endpoint, is_own=is_own).request(
            asked.method,
            asked.url,
            headers={"User-Agent": "nanokube", **asked.headers},
            body=asked.body,
            preload_content=False,
            redirect=False,
        )
        try:
            if response.status in (400, 401, 403):
                raise _denied(endpoint, self.reference)
            if response.status != 200:
                raise _RetryError(f"cannot get token: status {response.status}", _wait_s(response))
            return auths.read_token(_read_at_most(response, _TOKEN_BYTES_MAX, "token"))
        finally:
            _finish(response)


def _finish(response: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back, closed if there is more to read than is worth reading."""
    with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError):
        if response.status >= 300:
            response.read(_ERROR_BYTES_MAX)
    response.close()
    response.release_conn()


class _RetryError(Exception):
    """Worth another try, after wait_s seconds at least."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _wait_s(response: urllib3.BaseHTTPResponse) -> float:
    return auths.retry_after_s(response.headers.get("Retry-After"), datetime.datetime.now(datetime.UTC))


def _is_rest(response: urllib3.BaseHTTPResponse, have: int) -> bool:
    """Tell whether an answer goes on where we are. Source: RFC 9110 14.4."""
    unit, _, where = response.headers.get("Content-Range", "").partition(" ")
    return response.status == 206 and unit == "bytes" and where.partition("-")[0] == str(have)


def _check(response: urllib3.BaseHTTPResponse, endpoint: Endpoint, what: str) -> None:
    if response.status in (200, 206):
        return
    detail = _error_text(response)
    if response.status == 404:
        raise errors.not_found(f"{what}: not found")
    if response.status == 401:
        raise ImageError(
            Kind.UNAUTHENTICATED, f"{what}: unauthorized by {endpoint.host}: authentication required"
        )
    if response.status == 403:
        raise ImageError(Kind.PERMISSION_DENIED, f"{what}: denied by {endpoint.host}: {detail}")
    if response.status in _RETRIED:
        message = f"{what}: {endpoint.host} answered {response.status}: {detail}"
        raise _RetryError(message, _wait_s(response))
    raise ImageError(
        Kind.UNAVAILABLE, f"{what}: unexpected status {response.status} from {endpoint.host}: {detail}"
    )


def _error_text(response: urllib3.BaseHTTPResponse) -> str:
    """Return what a registry says about an error, cut short: it goes into Events."""
    body = response.read(4096)
    try:
        first = json.loads(body)["errors"][0]
        return f"{first.get('code', '')}: {first.get('message', '')}"[:200]
    except (ValueError, LookupError, TypeError, AttributeError):
        return str(response.reason or "")[:200]


def _read_at_most(response: urllib3.BaseHTTPResponse, limit: int, what: str) -> bytes:
    data = b""
    for part in response.stream(_CHUNK_BYTES, decode_content=False):
        data += part
        if len(data) > limit:
            raise errors.too_big(f"{what}: longer than {limit} bytes")
    return data


def _denied(endpoint: Endpoint, reference: Reference) -> ImageError:
    return ImageError(
        Kind.UNAUTHENTICATED,
        f"pull access denied from {endpoint.host}, repository {reference.repository} does not exist or may "
        "require authorization",
    )


def _is_final(err: urllib3.exceptions.HTTPError) -> bool:
    """A refused connection, an unknown name or certificate does not get better within seconds."""
    reason = getattr(err, "reason", err)
    return isinstance(
        reason,
        urllib3.exceptions.SSLError
        | urllib3.exceptions.NameResolutionError
        | urllib3.exceptions.NewConnectionError,
    )


def _reason(err: urllib3.exceptions.HTTPError) -> str:
    text = str(getattr(err, "reason", None) or next(iter(err.args), err))
    return text.rpartition(">: ")[2] or text


def _pool(endpoint: Endpoint, *, is_own: bool) -> urllib3.PoolManager:
    """Make the connection pool of an endpoint, through the proxy that the environment names for it."""
    options: dict[str, Any] = {"retries": False, "timeout": _TIMEOUT, "maxsize": 4}
    if not endpoint.is_plain:
        options["ssl_context"] = _tls(endpoint, is_own=is_own)
    proxy = urllib.request.getproxies().get(endpoint.url.partition(":")[0])
    if proxy and not is_loopback(endpoint.host) and not urllib.request.proxy_bypass(endpoint.host):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _tls(endpoint: Endpoint, *, is_own: bool) -> ssl.SSLContext:
    """Trust the system's CAs and the endpoint's; show it its client certificate. Raises ImageError."""
    context = ssl.create_default_context()
    path = Path()
    try:
        for path in endpoint.ca_files:
            context.load_verify_locations(path)
        for path, key in endpoint.client_certificates if is_own else ():
            context.load_cert_chain(path, key)
    except (OSError, ssl.SSLError) as err:
        raise ImageError(Kind.FAILED_PRECONDITION, f"cannot use certificate {path}: {err}") from err
    if endpoint.is_unverified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the operator said so
    return context
