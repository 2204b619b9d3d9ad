"""A registry client: manifests and blobs over HTTP, with tokens, mirrors, retries, resumption. Blocking.

Source: OCI distribution-spec v1.1; containerd core/remotes/docker (order of hosts, `ns` parameter).
"""

import contextlib
import hashlib
import json
import logging
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, TypeVar

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
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


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
        self._pools = {endpoint.url: _pool(endpoint) for endpoint in endpoints}
        self._redirects = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)
        self._authorization: dict[str, str] = {}

    def abort(self) -> None:
        """Make downloads under way fail soon."""
        self._aborted.set()

    def close(self) -> None:
        for pool in (*self._pools.values(), self._redirects):
            pool.clear()

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

    def blob(self, blob: Descriptor, file: BinaryIO, progress: Callable[[int], None]) -> None:
        """Download a blob into an empty file, verified; what breaks off is resumed. Raises ImageError."""
        self._first(blob.digest, lambda endpoint: self._download(endpoint, blob, file, progress))

    def _first(self, what: str, fetch: Callable[[Endpoint], _T], *, resolving: bool = False) -> _T:
        """Ask the endpoints in turn; the last one's failure is the caller's."""
        usable = [e for e in self._endpoints if e.can_resolve or not resolving]
        for number, endpoint in enumerate(usable, 1):
            try:
                return self._retried(endpoint, fetch)
            except ImageError as err:
                if number == len(usable):
                    raise
                log.info("tried next host, host=%s what=%s error=%s", endpoint.host, what, err)
        raise errors.not_found(f"{what}: no host can resolve it")

    def _retried(self, endpoint: Endpoint, fetch: Callable[[Endpoint], _T]) -> _T:
        for attempt in range(_TRIES):
            try:
                return fetch(endpoint)
            except urllib3.exceptions.HTTPError as err:
                if attempt == _TRIES - 1 or self._aborted.is_set() or _is_final(err):
                    raise ImageError(
                        Kind.UNAVAILABLE, f"cannot reach {endpoint.host}: {_reason(err)}"
                    ) from err
            except _RetryError as err:
                if attempt == _TRIES - 1 or self._aborted.is_set():
                    raise ImageError(Kind.UNAVAILABLE, str(err)) from err
            self._sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _download(
        self, endpoint: Endpoint, blob: Descriptor, file: BinaryIO, progress: Callable[[int], None]
    ) -> None:
        """Continue or start a download; called again after a broken connection."""
        have = file.seek(0, 2)
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._get(endpoint, f"blobs/{blob.digest}", headers, blob.digest) as response:
            if response.status != 206:
                have = 0
                file.seek(0)
                file.truncate()
            for data in response.stream(_CHUNK_BYTES, decode_content=False):
                have += len(data)
                if have > blob.size:
                    raise errors.corrupt(f"{blob.digest}: longer than its {blob.size} bytes")
                if self._aborted.is_set():
                    raise ImageError(Kind.UNAVAILABLE, f"{blob.digest}: pull was given up")
                file.write(data)
                progress(have)
        if have < blob.size:
            raise _RetryError(f"{blob.digest}: connection ended after {have} of {blob.size} bytes")
        found = _digest(file)
        if found != blob.digest:
            file.seek(0)
            file.truncate()
            raise errors.corrupt(f"{blob.digest}: content is {found}")

    @contextlib.contextmanager
    def _get(
        self, endpoint: Endpoint, path: str, headers: Mapping[str, str], what: str
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """GET below the repository, authorized, redirects followed. Raises ImageError or to retry."""
        url = f"{endpoint.url}/{self.reference.repository}/{path}"
        if endpoint.is_mirror:
            url += "?" + urllib.parse.urlencode({"ns": endpoint.registry})
        response = self._send(endpoint, url, headers)
        if response.status == 401:
            challenge = response.headers.get("WWW-Authenticate", "")
            _finish(response)
            self._authorize(endpoint, challenge)
            response = self._send(endpoint, url, headers)
        try:
            _check(response, endpoint, what)
            yield response
        finally:
            _finish(response)

    def _send(self, endpoint: Endpoint, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a request and follow redirects; credentials go to the endpoint itself alone."""
        own = {"User-Agent": "nanokube", **dict(endpoint.headers), **headers}
        if endpoint.url in self._authorization:
            own["Authorization"] = self._authorization[endpoint.url]
        pool = self._pools[endpoint.url]
        for _ in range(_REDIRECTS_MAX):
            response = pool.request("GET", url, headers=own, preload_content=False, redirect=False)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response
            _finish(response)
            target = urllib.parse.urljoin(url, location)
            if urllib.parse.urlsplit(target).netloc != urllib.parse.urlsplit(url).netloc:
                own = {"User-Agent": "nanokube", **headers}
                pool = self._redirects
            if not target.startswith("https://") and not endpoint.is_plain:
                raise ImageError(Kind.UNAVAILABLE, f"{endpoint.host}: redirects from HTTPS to HTTP")
            url = target
        raise ImageError(Kind.UNAVAILABLE, f"{endpoint.host}: too many redirects")

    def _authorize(self, endpoint: Endpoint, header: str) -> None:
        """Obtain what a 401 answer asks for."""
        challenge = auths.parse_challenge(header)
        auth = self._auth
        if auth is not None and auth.registry_token:
            self._authorization[endpoint.url] = "Bearer " + auth.registry_token
        elif challenge.scheme == "basic" and auth is not None and auth.username:
            self._authorization[endpoint.url] = auths.basic(auth)
        elif challenge.scheme == "bearer":
            self._authorization[endpoint.url] = "Bearer " + self._token(endpoint, challenge)
        else:
            raise _denied(endpoint, self.reference)

    def _token(self, endpoint: Endpoint, challenge: auths.Challenge) -> str:
        scope = f"repository:{self.reference.repository}:pull"
        asked = auths.token_request(challenge, scope, self._auth, may_be_plain=endpoint.is_plain)
        same_host = urllib.parse.urlsplit(asked.url).netloc == endpoint.host
        pool = self._pools[endpoint.url] if same_host else self._redirects
        response = pool.request(
            asked.method,
            asked.url,
            headers=dict(asked.headers),
            body=asked.body,
            preload_content=False,
            redirect=False,
        )
        try:
            if response.status in (400, 401, 403):
                raise _denied(endpoint, self.reference)
            if response.status != 200:
                raise _RetryError(f"cannot get token: status {response.status}")
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


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while data := file.read(1 << 20):
        digest.update(data)
    return "sha256:" + digest.hexdigest()


class _RetryError(Exception):
    """Worth another try."""


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
        raise _RetryError(f"{what}: {endpoint.host} answered {response.status}: {detail}")
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
    text = str(getattr(err, "reason", err))
    return text.rpartition(">: ")[2] or text


def _pool(endpoint: Endpoint) -> urllib3.PoolManager:
    """Make the connection pool of an endpoint, through the proxy that the environment names for it."""
    options: dict[str, Any] = {"retries": False, "timeout": _TIMEOUT, "maxsize": 4}
    if endpoint.is_unverified:
        options["cert_reqs"] = "CERT_NONE"
    if endpoint.ca_files:
        options["ca_cert_data"] = "\n".join(path.read_text() for path in endpoint.ca_files)
    if endpoint.client_certificate:
        certificate, key = endpoint.client_certificate
        options.update(cert_file=str(certificate), key_file=str(key) if key else None)
    proxy = urllib.request.getproxies().get(endpoint.url.partition(":")[0])
    if proxy and not is_loopback(endpoint.host) and not urllib.request.proxy_bypass(endpoint.host):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)
