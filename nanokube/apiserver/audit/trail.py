"""What is noted of one request on its way, and the events made of it.

    identify ──begin──> RequestReceived ── … notes … ──conclude──┬─ Response: ResponseComplete, or Panic
        └─nobody─> (401: ResponseStarted only)                   └─ stream: [ResponseStarted] … at its end

Source: staging apiserver pkg/audit/context.go, pkg/endpoints/filters/{audit,authn_audit}.go.
"""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from nanokube.api.resources import Resource
from nanokube.apiserver.audit import event as events
from nanokube.apiserver.audit import policy as policies
from nanokube.apiserver.audit.auditor import Auditor, Waiter
from nanokube.apiserver.audit.policy import Level, Verdict
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.kit.http.message import (
    Answer,
    Request,
    Response,
    UpgradeResponse,
    encode_fields,
)

HEADER: Final = "Audit-Id"
# kube-apiserver's LongRunningFunc: pkg/controlplane/apiserver/config.go
_LASTING_VERBS: Final = frozenset(("watch", "proxy"))
_LASTING_SUBRESOURCES: Final = frozenset(("attach", "exec", "proxy", "log", "portforward"))
_BODIES: Final = frozenset(("create", "update", "patch", "delete", "deletecollection"))
_NAMED: Final = frozenset(("create", "update"))

_T = TypeVar("_T")


class Trail:
    """One request. waiters: what its answer must wait for. resource: of the objects in it, if
    they are ours."""

    __slots__ = (
        "_about", "_auditor", "_received_s", "annotations", "audit_id", "crash", "impersonated", "info",
        "is_admitted", "is_dropped", "is_nobody", "request", "resource", "verdict", "waiters",
    )  # fmt: skip

    def __init__(self, auditor: Auditor, request: Request) -> None:
        self._auditor = auditor
        self._received_s = auditor.clock.time()
        self._about: dict[str, Any] = {}
        self.request = request
        self.audit_id = request.headers.get(HEADER)
        if not self.audit_id:
            self.audit_id = str(uuid.uuid4())
            request.headers.add(HEADER, self.audit_id)  # an extension server behind us goes on with it
        self.info: RequestInfo | None = None
        self.verdict: Verdict | None = None
        self.impersonated: User | None = None
        self.annotations: dict[str, str] = {}
        self.crash: BaseException | None = None
        self.waiters: list[tuple[Waiter, bool]] = []
        self.resource: Resource | None = None
        self.is_nobody = self.is_admitted = self.is_dropped = False

    @property
    def is_recorded(self) -> bool:
        """The policy wants events of this request."""
        return self.verdict is not None and self.verdict.level > Level.NONE and not self.is_dropped

    def begin(self, info: RequestInfo, user: User | None) -> None:
        """Judge the request, now that it is known who asks; None: nobody."""
        self.info = info
        self.is_nobody = user is None
        self.verdict = self._auditor.judge(user, info)
        if not self.is_recorded:
            return
        self._about = events.about(self.request, info, user)
        if not self.is_nobody:
            self._emit(policies.RECEIVED, self._received_s, {})

    def note(self, annotations: Mapping[str, str]) -> None:
        """Annotate the events to come. What was said first stays."""
        for key, value in annotations.items():
            self.annotations.setdefault(key, value)

    @property
    def wants_bodies(self) -> bool:
        """Annotations that tell of objects are recorded, too."""
        return self.verdict is not None and self.verdict.level >= Level.REQUEST

    def conclude(self, answer: Answer) -> Answer:
        """Record an answer, or what will become of it; return it with the request's id."""
        if isinstance(answer, UpgradeResponse):
            answer.headers = (*answer.headers, (HEADER, self.audit_id))
        else:
            answer.head += encode_fields([(HEADER, self.audit_id)])
        if not self.is_recorded:
            return answer
        if isinstance(answer, Response):
            self._respond(answer)
        else:
            code = 101 if isinstance(answer, UpgradeResponse) else answer.status
            status = {"responseStatus": {"metadata": {}, "code": code}}
            if self._is_lasting:
                self._emit(policies.STARTED, None, status)
            if isinstance(answer, UpgradeResponse):
                answer.run = self._followed(answer.run, status)
            else:
                answer.run = self._followed(answer.run, status)
        return answer

    def cut(self) -> None:
        """Record that the client went before there was an answer."""
        if self.is_recorded:
            status = {"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200}
            fields = {"responseStatus": status}
            if self._is_lasting:
                self._emit(policies.STARTED, None, fields)
            self._emit(policies.COMPLETE, None, fields)

    @property
    def _is_lasting(self) -> bool:
        assert self.info is not None
        return self.info.verb in _LASTING_VERBS or (
            self.info.is_resource and self.info.subresource in _LASTING_SUBRESOURCES
        )

    def _respond(self, answer: Response) -> None:
        fields = {"responseStatus": events.status_of(answer), **self._bodies(answer)}
        if self._is_lasting or self.is_nobody:
            self._emit(policies.STARTED, None, fields)
        if self.is_nobody:
            return
        if self.crash is not None:
            self._emit(policies.PANIC, None, _panic(self.crash))
        else:
            self._emit(policies.COMPLETE, None, fields)

    def _bodies(self, answer: Response) -> dict[str, Any]:
        """Give the objects of request and answer, as far as the level wants them."""
        info, verdict = self.info, self.verdict
        assert info is not None
        assert verdict is not None
        found: dict[str, Any] = {}
        has_bodies = self.resource is not None and info.subresource not in _LASTING_SUBRESOURCES
        wanted = verdict.level >= Level.REQUEST or info.verb in _NAMED
        if has_bodies and self.is_admitted and self.request.body and info.verb in _BODIES and wanted:
            tree = events.request_object(self.request, is_patch=info.verb == "patch")
            if info.verb in _NAMED:
                tree = self._typed(tree)
                self._name(tree)
            if verdict.level >= Level.REQUEST and tree is not None:
                is_whole = info.verb == "patch" or not verdict.omits_managed_fields
                found["requestObject"] = tree if is_whole else events.without_managed_fields(tree)
        if verdict.level >= Level.REQUEST_RESPONSE and (has_bodies or events.is_status(answer)):
            obj = events.response_object(answer, omits_managed_fields=verdict.omits_managed_fields)
            if obj is not None:
                found["responseObject"] = obj
        return found

    def _typed(self, tree: Any) -> Any:
        """Say what the object is of a client that left it to the path."""
        assert self.info is not None
        if self.resource is None or self.info.subresource or not isinstance(tree, dict):
            return tree
        said = {key: value for key, value in tree.items() if value or key not in ("kind", "apiVersion")}
        return {"kind": self.resource.kind, "apiVersion": self.resource.api_version, **said}

    def _name(self, tree: Any) -> None:
        """Complete the reference by what the object says of itself."""
        metadata = tree.get("metadata") if isinstance(tree, dict) else None
        if not isinstance(metadata, dict):
            return
        ref = self._about["objectRef"]
        for key in ("namespace", "name", "uid", "resourceVersion"):
            if not ref.get(key) and isinstance(metadata.get(key), str) and metadata[key]:
                ref[key] = metadata[key]

    def _followed(
        self, run: Callable[[_T], Awaitable[None]], status: dict[str, Any]
    ) -> Callable[[_T], Awaitable[None]]:
        async def followed(stream: _T) -> None:
            try:
                await run(stream)
            except Exception as err:
                self._emit(policies.PANIC, None, _panic(err))
                raise
            except BaseException:  # the client went
                self._emit(policies.COMPLETE, None, status)
                raise
            self._emit(policies.COMPLETE, None, status)

        return followed

    def _emit(self, stage: str, at_s: float | None, fields: Mapping[str, Any]) -> None:
        verdict = self.verdict
        assert verdict is not None
        if stage in verdict.omit_stages:
            return
        event: dict[str, Any] = {
            "level": verdict.level.title,
            "auditID": self.audit_id,
            "stage": stage,
            **self._about,
        }
        if self.impersonated is not None:
            event["impersonatedUser"] = events.user_info(self.impersonated)
        event |= fields
        event["requestReceivedTimestamp"] = events.micro_time(self._received_s)
        event["stageTimestamp"] = events.micro_time(self._auditor.clock.time() if at_s is None else at_s)
        if self.annotations:
            event["annotations"] = dict(sorted(self.annotations.items()))
        self.waiters += self._auditor.emit(event)


def _panic(err: BaseException) -> dict[str, Any]:
    return {
        "responseStatus": {
            "metadata": {},
            "status": "Failure",
            "message": f"APIServer panic'd: {type(err).__name__}",
            "reason": "InternalError",
            "code": 500,
        }
    }


# The request that this task answers.
CURRENT: Final[contextvars.ContextVar[Trail | None]] = contextvars.ContextVar("audit trail", default=None)
