"""Asks the API server whose token it is and what they may do: TokenReview and SubjectAccessReview.

So that metrics-server and Prometheus, say, may read a node's metrics with their ServiceAccount's token.
Answers are kept as long as upstream keeps them (pkg/kubelet/apis/config/v1beta1/defaults.go).
"""

import asyncio
import hashlib
import logging
from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

from nanokube.api import errors, resources
from nanokube.client.interface import ApiClient
from nanokube.kit import clock
from nanokube.kit.http.message import Certificate, Response
from nanokube.kubelet.server import access

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

TOKENS: Final = resources.get("tokenreviews.authentication.k8s.io")
ACCESSES: Final = resources.get("subjectaccessreviews.authorization.k8s.io")
KNOWN_S: Final = 120.0
ALLOWED_S: Final = 300.0
DENIED_S: Final = 30.0
MAX_KEPT: Final = 1000
MAX_ASKING: Final = 10  # strangers' tokens must not flood the API server


class Reviews:
    """Decides who may use the kubelet's server. node: the name by which it is asked about."""

    def __init__(self, client: ApiClient, node: str, time: clock.Clock = clock.SYSTEM) -> None:
        self._client = client
        self._node = node
        self._users = _Memory[access.User | None](time)
        self._answers = _Memory[bool](time)
        self._asking = asyncio.Semaphore(MAX_ASKING)

    async def refusal(
        self, certificate: Certificate | None, authorization: str, asked: access.Question
    ) -> Response | None:
        """Return the answer for one who may not; None for one who may."""
        try:
            user = await self._user(certificate, authorization)
        except (errors.ApiError, OSError) as error:
            log.info("token not reviewed: error=%s", error)
            user = None
        if user is None:
            return access.unauthorized()
        if certificate is not None and access.is_trusted(user):
            return None
        try:
            for subresource in asked.subresources:
                if await self._may(user, asked.verb, subresource):
                    return None
        except (errors.ApiError, OSError) as error:
            log.info("access not reviewed: user=%s error=%s", user.name, error)
            return Response(500, b"Internal Server Error", "text/plain")
        return access.forbidden(user, asked)

    async def _user(self, certificate: Certificate | None, authorization: str) -> access.User | None:
        if certificate is not None:
            return access.of_certificate(certificate)
        token = access.bearer_token(authorization)
        if not token:
            return None
        key = hashlib.sha256(token.encode()).digest()
        if (kept := self._users.recall(key)) is not None:
            return kept[0]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = await self._ask(TOKENS, body)
        user = None
        if status.get("authenticated"):
            about = status.get("user") or {}
            user = access.User(
                about.get("username", ""), tuple(about.get("groups") or ()), about.get("uid", "")
            )
        self._users.keep(key, user, KNOWN_S)
        return user

    async def _may(self, user: access.User, verb: str, subresource: str) -> bool:
        key = (user, verb, subresource)
        if (kept := self._answers.recall(key)) is not None:
            return kept[0]
        attributes = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self._node,
        }
        spec = {
            "user": user.name,
            "groups": list(user.groups),
            "uid": user.uid,
            "resourceAttributes": attributes,
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        is_allowed = bool((await self._ask(ACCESSES, body)).get("allowed"))
        self._answers.keep(key, is_allowed, ALLOWED_S if is_allowed else DENIED_S)
        return is_allowed

    async def _ask(self, resource: resources.Resource, body: dict[str, Any]) -> dict[str, Any]:
        async with self._asking:
            answer = await self._client.create(resource, body)
        return answer.get("status") or {}


class _Memory(Generic[Answer]):
    """Answers with a time to live, the oldest dropped first."""

    def __init__(self, time: clock.Clock) -> None:
        self._clock = time
        self._kept: dict[Hashable, tuple[float, Answer]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def recall(self, key: Hashable) -> tuple[Answer] | None:
        """Return what is known, wrapped, or None."""
        kept = self._kept.get(key)
        return (kept[1],) if kept is not None and self._clock.monotonic() < kept[0] else None

    def keep(self, key: Hashable, answer: Answer, seconds: float) -> None:
        """Know it for so long."""
        self._kept.pop(key, None)
        while len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = self._clock.monotonic() + seconds, answer
