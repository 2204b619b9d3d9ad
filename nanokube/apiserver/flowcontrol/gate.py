"""The filter between authentication and authorization: each request gets a flow, and seats before it runs.

A request that is answered without waiting for anything holds no seat: nothing else runs meanwhile. So the
uncontended way is a look into the memory of decisions and one comparison; only what waits (for the disk, for
another server) takes seats, and only then is its width estimated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import errors, flow_defaults, objects, resources
from nanokube.api.objects import Object
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.flowcontrol import limits, seats
from nanokube.apiserver.flowcontrol.classify import Classifier, compile_schema
from nanokube.apiserver.flowcontrol.level import Flow, Level
from nanokube.apiserver.flowcontrol.limits import Wanted
from nanokube.apiserver.flowcontrol.queueset import QueueSet, State, Ticket
from nanokube.apiserver.flowcontrol.seats import Width
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.kit.clock import Clock
from nanokube.kit.http.message import Request

# a quarter of the server's request timeout of 60 s
WAIT_S: Final = 15.0
TIMED_OUT: Final = "time-out"
CANCELLED: Final = "cancelled"
_ENDLESS: Final = frozenset(("attach", "exec", "log", "portforward", "proxy"))


@dataclass(slots=True, eq=False)
class Pass:
    """What a request that was let in holds until `Gate.leave`."""

    flow: Flow
    level: Level
    queues: QueueSet
    ticket: Ticket


class Gate:
    """One a server. count: objects of a resource by storage name; watchers: how many watch it.

    find: what a path names, if it is served.
    """

    def __init__(
        self,
        clock: Clock,
        count: Callable[[str], int],
        watchers: Callable[[str], int],
        find: Callable[[str, str, str], resources.Resource | None] = resources.find,
    ) -> None:
        self.clock = clock
        self._count = count
        self._watchers = watchers
        self._find_resource = find
        self.levels: dict[str, Level] = {}
        self.flows: dict[str, Flow] = {}
        self._classifier: Classifier[Flow]
        self.configure((), ())

    def configure(self, levels: Iterable[Object], schemas: Iterable[Object]) -> None:
        """Take over the objects; what is mandatory is there even if they are not."""
        by_name = {objects.name(obj): obj for obj in levels}
        for name, spec in flow_defaults.MANDATORY_LEVELS.items():
            by_name.setdefault(name, {"metadata": {"name": name}, "spec": spec})
        divided = limits.of_levels({name: objects.spec(obj) for name, obj in by_name.items()})
        kept, self.levels = self.levels, {}
        for name, obj in by_name.items():
            level = kept.get(name)
            if level is None:
                level = Level(obj, divided[name])
                level.demand.since = level.demand.began = self.clock.monotonic()
            else:
                level.configure(obj, divided[name])
            self.levels[name] = level
        self._configure_flows({objects.name(obj): obj for obj in schemas})
        self.adjust(closes=False)

    def _configure_flows(self, schemas: dict[str, Object]) -> None:
        for name, spec in flow_defaults.MANDATORY_SCHEMAS.items():
            schemas.setdefault(name, {"metadata": {"name": name}, "spec": spec})
        compiled = [compile_schema(obj) for obj in schemas.values()]
        kept, self.flows = self.flows, {}
        for schema in compiled:
            level = self.levels.get(schema.level)
            if level is None:
                continue  # dangling: what it would match falls to the next
            flow = kept.get(schema.name)
            if flow is None:
                flow = Flow(schema, level)
            else:
                flow.point(schema, level)
            self.flows[schema.name] = flow
        for level in self.levels.values():
            level.flows = [flow for flow in self.flows.values() if flow.level is level]
        self._classifier = Classifier((flow.schema, flow) for flow in self.flows.values())

    def adjust(self, *, closes: bool = True) -> None:
        """Lend seats to where they are wanted. closes: a period of observation ends."""
        now = self.clock.monotonic()
        wanted = {}
        for name, level in self.levels.items():
            if closes:
                level.demand.close(now)
            wanted[name] = Wanted(level.limits, level.is_exempt, level.demand.high, level.demand.smoothed)
        for name, seats_now in limits.adjust(wanted).items():
            level = self.levels[name]
            if not level.is_exempt:
                level.queues.resize(seats_now, now)

    def flow(self, user: User, info: RequestInfo) -> Flow | None:
        """Classify a request; None for those that last as long as the client likes, which hold no seats."""
        if info.subresource in _ENDLESS:
            return None
        return self._classifier.find(user, info)

    def arrive(self, flow: Flow, user: User, info: RequestInfo, request: Request) -> Pass:
        """Ask for seats. Raises ApiError (429) if there are neither seats nor a place to wait for them."""
        level, now = flow.level, self.clock.monotonic()
        name = flow.schema.flow(user, info)
        ticket = level.queues.arrive(name, self._width(level, info, request), now, (user, info, flow))
        if ticket.state is State.REFUSED:
            raise self._refuse(flow, ticket.reason)
        level.demand.set(level.queues.demand, now)
        held = Pass(flow, level, level.queues, ticket)
        if ticket.state is State.RUNNING:
            self._started(held)
        return held

    async def wait(self, held: Pass, request: Request) -> None:
        """Wait for the turn of a request. Raises ApiError (429) when it takes too long."""
        flow, ticket = held.flow, held.ticket
        turn = asyncio.get_running_loop().create_future()

        def decide(is_let_in: bool) -> None:
            if not turn.done():
                turn.set_result(is_let_in)

        ticket.wake = lambda: decide(True)
        request.on_disconnect(lambda: decide(False))
        flow.waiting += 1
        flow.waiting_seats += ticket.width.most
        reason = CANCELLED
        try:
            async with asyncio.timeout(WAIT_S):
                if await turn and ticket.state is State.RUNNING:
                    reason = ""
        except TimeoutError:
            reason = TIMED_OUT
        finally:
            flow.waiting -= 1
            flow.waiting_seats -= ticket.width.most
            now = self.clock.monotonic()
            flow.waits.observe(now - ticket.arrived)
            if reason:
                held.queues.cancel(ticket, now)
                held.level.demand.set(held.queues.demand, now)
        if not reason:
            self._started(held)
            return
        held.level.timed_out += reason == TIMED_OUT
        held.level.cancelled += reason == CANCELLED
        raise self._refuse(flow, reason)

    def leave(self, held: Pass) -> None:
        """Give back the seats of a request that has run, now or when its watchers have been told."""
        flow, now = held.flow, self.clock.monotonic()
        flow.running -= 1
        flow.running_seats -= held.ticket.width.most
        flow.runs.observe(now - held.ticket.started)
        _, extra_s = held.queues.finish(held.ticket, now)
        if extra_s:
            asyncio.get_running_loop().call_later(extra_s, self._release, held)
        held.level.demand.set(held.queues.demand, now)

    def _release(self, held: Pass) -> None:
        now = self.clock.monotonic()
        held.queues.release(held.ticket, now)
        held.level.demand.set(held.queues.demand, now)

    def _started(self, held: Pass) -> None:
        held.flow.dispatched += 1
        held.flow.running += 1
        held.flow.running_seats += held.ticket.width.most

    def _refuse(self, flow: Flow, reason: str) -> errors.ApiError:
        flow.rejected[reason] = flow.rejected.get(reason, 0) + 1
        refusals = flow.level.refusals
        refusals.note(self.clock.time())
        return errors.too_many_requests("Too many requests, please try again later.", refusals.retry_after_s)

    def _width(self, level: Level, info: RequestInfo, request: Request) -> Width:
        if not info.is_resource or info.verb == "get":
            return seats.ONE
        resource = self._find_resource(info.group, info.version, info.resource)
        if resource is None:
            return seats.ONE
        if info.verb not in seats.READS:
            if info.subresource == "token":
                return seats.ONE
            return seats.of_write(self._watchers(resource.storage_name), level.widest)
        return _of_list(self._count(resource.storage_name), request.query, info, level.widest)


def _of_list(count: int, query: Any, info: RequestInfo, most: int) -> Width:
    limit = query.get("limit")
    version, match = query.get("resourceVersion"), query.get("resourceVersionMatch")
    from_past = bool(query.get("continue")) or match == "Exact"
    if info.verb == "watch" and version not in ("", "0") and query.get("sendInitialEvents") != "true":
        return seats.ONE
    return seats.of_list(
        count,
        int(limit) if limit.isdecimal() else 0,
        is_single=bool(info.name),
        is_filtered=bool(query.get("labelSelector") or query.get("fieldSelector")),
        from_cache=info.verb == "watch" or not from_past,
        most=most,
    )
