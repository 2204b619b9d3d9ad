"""What the supervisor saw becomes our record: exits first of all.

The watcher is one thread: it reads events, and whenever the stream breaks (the supervisor was
restarted) it compares all records with the supervisor's list.
"""

import contextlib
import dataclasses
import logging
import threading

from cri.faults import RuntimeFault
from cri.runtime import client, faults
from cri.server import notify
from cri.server.environment import Environment
from cri.store import records

log = logging.getLogger(__name__)

_RETRY_S = 0.2


def apply(env: Environment, state: client.State) -> None:
    """Bring the record of one container to what the supervisor says; unknown ids are holders or removed."""
    before = env.store.containers.find(state.id)
    if before is None or state.phase == "created":
        return
    changed = False

    def change(record: records.Container) -> records.Container:
        nonlocal changed
        new = merge(record, state, env.now())
        changed = new.state is not record.state
        return new

    try:
        after = env.store.containers.update(state.id, change)
    except RuntimeFault:  # removed meanwhile
        return
    if changed and after.state is records.ContainerState.EXITED:
        log.info("container exited id=%s code=%d reason=%s", state.id, after.exit_code, after.reason)
        notify.container(env, after, notify.STOPPED)


def merge(record: records.Container, state: client.State, now: int) -> records.Container:
    """Return the record with the supervisor's newer facts. Pure."""
    if record.state in (records.ContainerState.EXITED, records.ContainerState.INTENT):
        return record
    if state.started_at and not record.started_at:
        record = dataclasses.replace(record, started_at=state.started_at)
    if state.phase == "exited":
        return records.exited(
            record,
            code=state.exit_code,
            now=state.finished_at or now,
            reason=state.reason,
            message=state.message,
        )
    if record.state is records.ContainerState.CREATED:
        return records.started(record, state.started_at or now)
    return record


def resync(env: Environment) -> None:
    """Compare every live record with the supervisor's list. Raises RuntimeFault.

    What it holds and no record names is a removal that a killed supervisor did not end.
    """
    live = [r for r in env.store.containers.all() if r.state is not records.ContainerState.EXITED]
    states = {state.id: state for state in env.client.list()}  # after: a newer container is in no danger
    for record in live:
        if record.id in states:
            apply(env, states[record.id])
        else:
            lose(env, record.id)
    for identity in states:  # an intent is a record before the supervisor hears of it
        if not env.store.containers.holds(identity) and not env.store.sandboxes.holds(identity):
            log.warning("container without record removed id=%s", identity)
            env.client.remove(identity)


def lose(env: Environment, identity: str) -> None:
    """Mark a container the supervisor does not know; one removed meanwhile is no matter."""
    with contextlib.suppress(RuntimeFault):
        lost = env.store.containers.update(identity, lambda old: records.lost(old, env.now()))
        log.warning("container lost id=%s", identity)
        notify.container(env, lost, notify.STOPPED)


def start(env: Environment) -> threading.Event:
    """Start the watcher; set the returned event to end it."""
    stop = threading.Event()
    threading.Thread(target=_watch, args=(env, stop), name="exits", daemon=True).start()
    return stop


def _watch(env: Environment, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            events = env.client.events("resumed", "exited")  # the others are of our own doing
            resync(env)
            for event in events:
                apply(env, event.state)
        except (faults.RuntimeFault, OSError) as err:
            log.debug("supervisor's events ended: %s", err)
        except Exception:
            log.exception("event not applied")
        stop.wait(_RETRY_S)
