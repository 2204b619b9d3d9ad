"""From request to answer: authenticate, authorize, route to an endpoint, count. One method, a few filters.

    handle ── parse ── authenticate ── seats ── authorize ──┬── resource: verb -> endpoint
                                                            └── other paths: discovery, health, …

What can be answered from memory is answered in the same call, without a task, and holds no seats
(flowcontrol/gate.py).
"""

from __future__ import annotations

import inspect
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from nanokube.api import errors, resource_metrics
from nanokube.api.errors import ApiError
from nanokube.api.resources import Resource
from nanokube.apiserver.admission import chain
from nanokube.apiserver.aggregator.aggregator import Aggregator
from nanokube.apiserver.authn import impersonation
from nanokube.apiserver.authn.authenticator import Authenticator
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.authz.authorizer import Attributes, Authorizer, Decision, refusal
from nanokube.apiserver.connect import ConnectBackend
from nanokube.apiserver.endpoints import (
    approval,
    components,
    custom,
    deprecated,
    eviction,
    negotiate,
    read,
    respond,
    routes,
    scaling,
    shared,
    subresources,
    watch,
    write,
)
from nanokube.apiserver.endpoints.reviews import Reviews
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.endpoints.subresources import TokenRequests
from nanokube.apiserver.flowcontrol import report
from nanokube.apiserver.flowcontrol.gate import Gate, Pass
from nanokube.apiserver.flowcontrol.level import Flow
from nanokube.apiserver.flowcontrol.queueset import State
from nanokube.apiserver.metrics import Metrics, kind_of
from nanokube.apiserver.nonresource import NonResource
from nanokube.apiserver.registry import outage
from nanokube.apiserver.registry.registry import Registry
from nanokube.apiserver.requestinfo import RUNNING, RequestInfo, check_timeout, parse
from nanokube.apiserver.resource_metrics.endpoint import ResourceMetrics
from nanokube.apiserver.subresources import connect_options
from nanokube.apiserver.subresources.handlers import HANDLERS
from nanokube.apiserver.targets import Target, Targets, question
from nanokube.kit.http import server
from nanokube.kit.http.message import Answer, Request, Response, UpgradeResponse
from nanokube.storage.store import Broken, Unavailable, Uncertain

log = logging.getLogger(__name__)

_TOO_DEEP: Final = "Recursion limit reached"  # what orjson says of more than 254 levels

Result = Answer | Awaitable[Answer]
Endpoint = Callable[[Scope], Result]

_VERBS: Final[Mapping[str, Endpoint]] = {
    "get": read.get,
    "list": read.list_,
    "watch": watch.watch,
    "create": write.create,
    "update": write.update,
    "patch": write.patch_,
    "delete": write.delete,
    "deletecollection": write.delete_collection,
}
_SUBRESOURCES: Final[Mapping[tuple[str, str], Mapping[str, Endpoint]]] = {
    ("*", "status"): {"get": read.get, "update": write.update, "patch": write.patch_},
    ("*", "scale"): {
        "get": scaling.get,
        "update": scaling.put,
        "patch": scaling.patch_,
    },
    ("pods", "binding"): {"create": subresources.bind},
    ("pods", "eviction"): {"create": eviction.evict},
    ("pods", "resize"): {verb: subresources.resize for verb in ("get", "update", "patch")},
    ("certificatesigningrequests.certificates.k8s.io", "approval"): {
        verb: approval.approve for verb in ("get", "update", "patch")
    },
    ("pods", "ephemeralcontainers"): {
        verb: subresources.ephemeral_containers for verb in ("get", "update", "patch")
    },
    ("namespaces", "finalize"): {"update": subresources.finalize},
}


class App:
    """The handler of the HTTP server."""

    def __init__(
        self,
        registry: Registry,
        authenticator: Authenticator,
        authorizer: Authorizer,
        reviews: Reviews,
        token_requests: TokenRequests,
        other: NonResource,
        metrics: Metrics,
        backend: ConnectBackend,
        gate: Gate,
        aggregator: Aggregator,
    ) -> None:
        self._registry = registry
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._reviews = reviews
        self._token_requests = token_requests
        self._other = other
        self._metrics = metrics
        self._backend = backend
        self._usage = ResourceMetrics(registry, backend)
        self.gate = gate
        self._aggregator = aggregator
        self._targets = Targets()

    async def prepare(self) -> None:
        """Make ahead what the first clients would wait for."""
        await self._other.openapi.prepare()

    def stop(self) -> None:
        """Say from now on that this server is not ready: it ends."""
        self._other.health.is_stopping = True

    def handle(self, request: Request) -> Result:
        """Answer a request: at once if nothing is waited for, else by what is returned, which waits.

        What may have to wait for a seat begins in _finish, once it has one; all else begins here.
        """
        started = time.perf_counter()
        known = self._targets.find(request)
        info = parse(request) if known is None else known.info
        flow: Flow | None = None
        result: Result
        try:
            if request.query.raw:
                check_timeout(info, request.query.get("timeout"))
            user = self._identify(request, info)
            flow = self.gate.flow(user, info)
            if flow is None or flow.level.is_free:
                result = (known and self._again(request, known, user)) or self._route(request, info, user)
                if not isinstance(result, Response) and inspect.isawaitable(result):
                    return self._finish(request, info, user, flow, result, started)
                if flow is not None:
                    flow.dispatched += 1
            else:
                return self._finish(request, info, user, flow, None, started)
        except ApiError as err:
            result = respond.failure(err, request)
        except Exception as err:
            result = self._failed(request, err)
        return self._done(info, flow, result, started)

    def _identify(self, request: Request, info: RequestInfo) -> User:
        """Tell whom a request acts as. Raises ApiError."""
        return self._impersonated(request, self._authenticator.authenticate(request))

    def _impersonated(self, request: Request, user: User) -> User:
        return impersonation.apply(request, user, self._authorizer)

    def _failed(self, request: Request, err: Exception) -> Response:
        return failed(request, err)

    def streams_body(self, target: str) -> bool:
        """Tell the HTTP server for which targets bodies are read as fast as another server takes them."""
        return self._aggregator.streams(target)

    def _done(self, info: RequestInfo, flow: Flow | None, answer: Answer, started: float) -> Answer:
        """Count an answer, and say in it where it belonged."""
        if flow is not None and not isinstance(answer, UpgradeResponse):
            answer.head = flow.head
        if not isinstance(answer, Response) and (info.verb == "watch" or info.subresource):
            self._metrics.follow(info, answer)
        self._metrics.observe(info, answer, time.perf_counter() - started)
        return answer

    async def _finish(
        self,
        request: Request,
        info: RequestInfo,
        user: User,
        flow: Flow | None,
        pending: Awaitable[Answer] | None,
        started: float,
    ) -> Answer:
        """Wait for seats and for the answer. pending: None if nothing may begin before there are seats."""
        held: Pass | None = None
        begun, in_flight, kind = False, self._metrics.in_flight, kind_of(info)
        in_flight[kind] += 1
        try:
            if flow is not None:
                held = self.gate.arrive(flow, user, info, request)
                if held.ticket.state is State.WAITING:
                    waiting, held = held, None
                    await self.gate.wait(waiting, request)
                    held = waiting
            if pending is None:
                result = self._route(request, info, user)
                answer = await result if inspect.isawaitable(result) else result
            else:
                begun = True
                answer = await pending
        except ApiError as err:
            answer = respond.failure(err, request)
        except Exception as err:
            answer = self._failed(request, err)
        finally:
            in_flight[kind] -= 1
            if held is not None:
                self.gate.leave(held)
            if not begun and inspect.iscoroutine(pending):
                pending.close()  # refused
        return self._done(info, flow, answer, started)

    def _again(self, request: Request, known: Target, user: User) -> Response | None:
        """Answer a GET whose target is known, unless more than a look into a cache is needed."""
        self._authorize(known.question(user))
        return known.answer(request) if self._aggregator.find(known.info) is None else None

    def _route(self, request: Request, info: RequestInfo, user: User) -> Result:
        """Authorize a request, then find who answers it: another server, a page, a subresource, a verb."""
        self._authorize(question(user, info, info.verb))
        remote = self._aggregator.find(info)
        if remote is not None:
            return self._aggregator.forward(request, info, user, remote)
        if request.stream is not None:  # its APIService went while the request came
            raise errors.service_unavailable("service unavailable")
        if not info.is_resource:
            if info.path.startswith(report.PREFIX):
                return self._debug(info.path)
            return self._other.answer(request)
        resource = self._registry.kinds.find(info.group, info.version, info.resource)
        if resource is None:
            raise errors.no_such_path()
        scope = Scope(self._registry, request, info, resource, user)
        if resource.custom is not None:
            custom.check(scope)
        else:
            routes.check(resource, info, request.method)
            is_route = not info.subresource or resource.subresource(info.subresource) is not None
            if is_route and (resource.name, info.subresource) not in HANDLERS:
                negotiate.check_route(
                    request.headers.get("accept"), may_stream=info.verb in ("list", "watch")
                )
        old = deprecated.warning(resource)
        if old:
            self._metrics.note_deprecated(info)
        return deprecated.warned(old, self._about(scope))

    def _about(self, scope: Scope) -> Result:
        """Find who answers a request about a resource."""
        resource, info = scope.resource, scope.info
        if info.subresource:
            return self._subresource(scope)
        if info.verb not in resource.verbs:
            raise errors.method_not_allowed(resource, info.verb or scope.request.method)
        if resource.name == "componentstatuses":
            return components.answer(scope)
        if resource.group == resource_metrics.GROUP and resource.custom is None:
            return self._usage.answer(scope)
        if not resource.is_stored:
            return self._reviews.create(scope) if resource.plural != "bindings" else subresources.bind(scope)
        if resource.namespaced and not info.namespace and info.verb not in ("list", "watch"):
            raise errors.method_not_allowed(resource, info.verb)
        self._targets.note(scope)
        endpoint = _VERBS[info.verb]
        if resource.custom is not None:
            endpoint = custom.VERBS.get(info.verb, endpoint)
        return self._run(endpoint, scope)

    def _debug(self, path: str) -> Response:
        text = report.page(self.gate, path)
        if text is None:
            raise errors.no_such_path()
        return respond.text(200, text)

    def _authorize(self, asked: Attributes) -> None:
        """Ask whether a user may do something. Raises ApiError (403)."""
        decision, reason = self._decide(asked)
        if decision is Decision.ALLOW:
            return
        resource = self._registry.kinds.find(asked.group, asked.version, asked.resource)
        if resource is None and asked.is_resource:
            resource = Resource(asked.group, asked.version, "", asked.resource, "", True)
        raise errors.forbidden(resource, asked.name, refusal(asked, reason))

    def _authorize_running(self, scope: Scope) -> None:
        """Ask whether a user whose GET runs something in a Pod may create that. Raises ApiError (403).

        Source: pkg/registry/core/pod/rest/authorize.go.
        """
        info = scope.info
        if info.subresource not in RUNNING or scope.request.method != "GET":
            return
        decision, reason = self._authorizer.authorize(question(scope.user, info, "create"))
        if decision is not Decision.ALLOW:
            raise errors.forbidden(scope.resource, info.name, reason)

    def _decide(self, attributes: Attributes) -> tuple[Decision, str]:
        return self._authorizer.authorize(attributes)

    def _subresource(self, scope: Scope) -> Result:
        resource, info = scope.resource, scope.info
        found = resource.subresource(info.subresource)
        if found is None:
            raise errors.no_such_path()
        key = (resource.name, info.subresource)
        if key == ("serviceaccounts", "token") and info.verb == "create":
            return self._run(self._token_requests.create, scope)
        if key in HANDLERS:
            return self._connect(scope)
        verbs = _SUBRESOURCES.get(key) or _SUBRESOURCES.get(("*", info.subresource), {})
        endpoint = verbs.get(info.verb)
        if endpoint is None or (scope.request.method == "HEAD" and resource.custom is None):
            raise errors.no_such_method()
        return self._run(endpoint, scope)

    def _run(self, endpoint: Endpoint, scope: Scope) -> Result:
        store = self._registry.store
        return shared.answer(store, endpoint, scope) if store.is_shared else endpoint(scope)

    async def _connect(self, scope: Scope) -> Answer:
        """Hand a connect subresource to its handler, after admission."""
        info = scope.info
        serve = HANDLERS[(scope.resource.name, info.subresource)]
        if scope.request.query.raw and "dryRun" in scope.request.query:
            raise errors.bad_request("dryRun is not supported")
        options = connect_options.build(scope.resource, info.subresource, scope.request.query, info.rest)
        if options is not None:  # logs are read, which nobody is asked about
            attributes = chain.Attributes(
                chain.CONNECT,
                scope.user,
                scope.resource,
                info.namespace,
                info.name,
                info.subresource,
                options,
                None,
            )
            await self._registry.admission.mutate(attributes)
            await self._registry.admission.validate(attributes)
        self._authorize_running(scope)
        with self._metrics.lasting(info):
            return await serve(scope.request, self._backend, info.namespace, info.name, info.rest)


def refused(status: int) -> Response:
    """Answer what is no request; one that is only too long gets its Status, as from a handler."""
    if status != 413:
        return server.refusal(status)
    return respond.failure(errors.request_too_large(f"limit is {server.Limits().body_bytes}"))


def failed(request: Request, err: Exception) -> Response:
    """Answer a bug of ours: the client learns an id, the log learns the rest; of the store, the cause."""
    if isinstance(err, RecursionError) or (isinstance(err, TypeError) and str(err) == _TOO_DEEP):
        return respond.failure(errors.bad_request("the object is nested too deeply"), request)
    if isinstance(err, Broken | Unavailable | Uncertain):  # a full disk, mostly: who asks is who must know
        return respond.failure(outage.explained(err), request)
    request_id = uuid.uuid4().hex[:16]
    log.error("request failed id=%s: %s %s", request_id, request.method, request.path, exc_info=err)
    return respond.failure(errors.internal(f"see the log of the server, request {request_id}"), request)
