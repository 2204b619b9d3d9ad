"""The supervisor: warm single-threaded process that clones containers, reaps them and serves the CRI server.

It never waits: requests, exits, control sockets and timers meet in one epoll. One request at a time on a
connection; the answer to start, stop, wait and exec comes when the thing has happened. Imports stay few:
every child is a copy of this process (see README.md).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import time

from cri import failpoint
from cri.cgroup import devices, hierarchy
from cri.linux import malloc, overlay, pidfd, prctl
from cri.runtime import adoption, checks, exits, faults, init, packets, rehearsal, spawn, userns, verify
from cri.runtime.container import CREATED, EXITED, RUNNING, STARTING, Container
from cri.runtime.logclient import LogClient
from cri.runtime.loop import Loop
from cri.runtime.session import Session
from cri.runtime.stock import Set, Stock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

log = logging.getLogger(__name__)

_FLUSH_TIMEOUT_S = 0.5
# The table of interned strings, 0.4 MB, moves now and then: its old place must not stay with us.
_MAPPED_BYTES = 256 << 10
_GROUP_TRIES_TOLD, _GROUP_TRIES = 10, 200  # 2 s; 95 s


class Supervisor:
    """All containers of a node. store: keeper's end of the descriptor store; stored: what it held for us."""

    def __init__(self, run_dir: str, store: socket.socket, stored: dict[str, int]) -> None:
        self.run_dir = run_dir
        self.loop = Loop()
        self.hierarchies = hierarchy.detect()
        self.stock = Stock(self.loop, lambda: Set(self.hierarchies))
        self.containers: dict[str, Container] = {}
        self.sessions: dict[int, Session] = {}  # by pidfd
        self.store = store
        self.stored = stored
        self.stage = f"{run_dir}/stage"
        os.makedirs(self.stage, mode=0o700, exist_ok=True)
        os.makedirs(f"{run_dir}/c", mode=0o700, exist_ok=True)
        self.logs = LogClient(self.loop, f"{run_dir}/logs.sock", self._readd_logs)
        self._subscribers: dict[socket.socket, frozenset[str]] = {}  # and the kinds each wants, none = all
        self._connections: dict[int, socket.socket] = {}

    def run(self) -> None:
        """Adopt what lives, then serve for ever."""
        self._listener = packets.listen(f"{self.run_dir}/runtime.sock")
        self.loop.add(self._listener.fileno(), self._accept)
        overlay.takes_layers_one_by_one()  # asked once here, not in each child
        rehearsal.rehearse(self.stage, self.hierarchies)
        adoption.adopt_all(self)
        self.logs.connect()
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in a child would copy the pages of every object
        malloc.map_from(_MAPPED_BYTES)
        prctl.set_dumpable(False)
        self.loop.run()

    # requests

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if not packets.peer_is_us(connection):
            connection.close()
            return
        connection.setblocking(False)
        self._connections[connection.fileno()] = connection
        self.loop.add(connection.fileno(), lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        """Read one request and carry it out; None as its answer means that the answer comes later."""
        try:
            received = packets.receive(connection)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            received = None
        if received is None:
            self._hang_up(connection)
            return
        request, fds = received
        try:
            handler = getattr(self, f"_do_{request['op']}")
            answer = handler(request, fds, connection)
        except faults.RuntimeFault as fault:
            answer = {"error": (fault.kind, fault.message)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.exception("request failed: %s", request.get("op"))
            answer = {"error": (faults.INTERNAL, f"cannot {request.get('op')}: {error}")}
        finally:
            for fd in fds:
                os.close(fd)
        if answer is not None:
            self.reply(connection, answer)

    def reply(self, connection: socket.socket, answer: Any, fds: Sequence[int] = ()) -> None:
        """Answer a request; a client that is gone or does not read is dropped."""
        try:
            packets.send(connection, answer, fds)
        except OSError:
            self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        fd = connection.fileno()
        if fd < 0:
            return
        self.loop.remove(fd)
        self._connections.pop(fd, None)
        self._subscribers.pop(connection, None)
        connection.close()
        for session in [s for s in self.sessions.values() if s.connection is connection]:
            session.abandon()

    def find(self, container_id: str) -> Container:
        """The container of that id. Raises RuntimeFault NotFound."""
        found = self.containers.get(container_id)
        if found is None:
            raise faults.RuntimeFault(faults.NOT_FOUND, f"cannot find container {container_id!r}")
        return found

    def _do_ping(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        return {"pid": os.getpid()}

    def _do_list(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        return {"states": tuple([c.state() for c in self.containers.values()])}

    def _do_state(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        return self.find(request["id"]).state()

    def _do_create(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        spec = request["spec"]
        checks.check_spec(spec)
        if spec["id"] in self.containers:
            raise faults.RuntimeFault(faults.ALREADY_EXISTS, f"cannot create container {spec['id']}: exists")
        made = Container(spec, f"{self.run_dir}/c/{spec['id']}", self.hierarchies)
        made.created_at = time.time_ns()
        made.make_record()
        failpoint.hit("supervisor.recorded")
        if spec["holder"]:  # needs no start: it runs as soon as it has let go of everything
            made.phase = STARTING
        try:
            made.group.create()
            checks.limit(made, spec["resources"])
            devices.restrict(made.group, checks.device_rules(spec))
            failpoint.hit("supervisor.grouped")
            self.spawn(made)
        except BaseException:
            made.group.kill()
            self._remove_group(made.group.remove, lambda: None)
            made.drop_record()
            raise
        self.containers[made.id] = made
        if made.is_outer:
            made.on_born = lambda: self.reply(connection, made.state())
        else:  # before others are told: each who wakes takes time from who waits
            self.reply(connection, made.state())
        self.publish("created", made)

    def spawn(self, made: Container) -> None:
        """Clone the first process and watch it."""
        target = -1
        if made.spec["namespaces"]["pid"] == "container":
            owner = self.find(made.spec["namespaces"]["pid_target"])
            target = owner.pidfd
            if target < 0 or owner.is_outer:
                raise faults.RuntimeFault(
                    faults.FAILED_PRECONDITION, f"cannot create container {made.id}: PID target has exited"
                )
        logs: list[int] = []
        try:
            try:
                spawn.spawn(made, self.stage, target, logs, self.stock)
            except ProcessLookupError as error:  # of setns(2)
                raise faults.RuntimeFault(
                    faults.FAILED_PRECONDITION, f"cannot create container {made.id}: PID target has exited"
                ) from error
            failpoint.hit("supervisor.cloned")
            if made.stdin >= 0:
                self.keep(f"{made.id}.in", made.stdin)
            made.save()
            failpoint.hit("supervisor.clone_noted")
            self.watch(made)
            if logs:
                self.logs.add(made.id, made.spec["log_path"], tty=False, fds=logs)
        finally:
            for fd in logs:
                os.close(fd)

    def watch(self, made: Container) -> None:
        """Follow a live container's control socket and exit."""
        self.loop.add(made.pidfd, lambda: adoption.ended(self, made))
        if made.control is not None:
            control = made.control
            self.loop.add(control.fileno(), lambda: self._on_control(made, control))

    def _on_control(self, made: Container, control: socket.socket) -> None:
        while made.control is control:
            try:
                received = packets.receive(control)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it ended without reading our go: told once, before what it has sent
            except OSError:
                received = None
            if received is None:
                self.loop.remove(control.fileno())
                control.close()
                made.control = None
                self._born(made)
                self._started(made)
                return
            (kind, text), fds = received
            if kind == "master":
                made.master = fds[0]
                self.keep(f"{made.id}.tty", made.master)
                self.logs.add(made.id, made.spec["log_path"], tty=True, fds=fds)
            elif kind == "born":
                self._pass_on(made, fds[0])
            elif kind == "error":
                made.setup_error = text

    def _pass_on(self, made: Container, fd: int) -> None:
        """The first process has cloned the one that enters the user namespace: that one is the container."""
        outer, outer_fd = made.pid, made.pidfd
        made.pid, made.pidfd = pidfd.process_id(fd), fd
        made.identity = pidfd.identity(made.pid, fd)
        made.save()
        self.loop.remove(outer_fd)

        def reap() -> None:
            self.loop.remove(outer_fd)
            os.close(outer_fd)
            os.waitpid(outer, 0)

        self.loop.add(outer_fd, reap)
        self.loop.add(fd, lambda: adoption.ended(self, made))
        made.is_outer = False
        self._born(made)

    def _born(self, made: Container) -> None:
        """Answer create: whoever joins the container now finds its own namespaces, or an end."""
        told, made.on_born = made.on_born, None
        if told:
            told()

    def hear(self, made: Container) -> None:
        """Read what a container's first process has said so far."""
        if made.control is not None:
            self._on_control(made, made.control)

    def _started(self, made: Container) -> None:
        """The control socket ended: the command runs, or there is an error to tell."""
        if made.phase != STARTING:
            if not made.setup_error:
                made.setup_error = "the container's first process ended before it was started"
            return
        told, made.on_start = made.on_start, None
        if made.setup_error:
            self._fail_start(made)
            if told:
                told(made.setup_error)
        else:
            self.set_running(made, told)

    def set_running(self, made: Container, told: Callable[[str], None] | None = None) -> None:
        """Note that the command runs; answer who has started it, then tell the others."""
        made.phase = RUNNING
        made.started_at = time.time_ns()
        made.save()
        failpoint.hit("supervisor.run_noted")
        if told:
            told("")
        self.publish("started" if made.is_child else "resumed", made)
        verify.schedule(self, made)

    def _fail_start(self, made: Container) -> None:
        made.phase, made.exit_code, made.reason = EXITED, 128, "StartError"
        made.message = made.setup_error
        made.started_at = 0
        made.finished_at = time.time_ns()
        made.save()
        made.group.kill()
        self.tell_exit(made)

    def _do_start(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.find(request["id"])
        if made.phase == STARTING and made.control is None:
            raise faults.RuntimeFault(
                faults.UNAVAILABLE, f"cannot tell yet whether container {made.id} was started"
            )
        if made.phase != CREATED:
            raise faults.RuntimeFault(
                faults.FAILED_PRECONDITION, f"cannot start container {made.id}: it is {made.phase}"
            )
        if made.pid == 0 and not made.setup_error:  # its first process died with an earlier supervisor
            self.spawn(made)
        if made.control is None or made.setup_error:
            made.setup_error = made.setup_error or "the container's first process is gone"
            self._fail_start(made)
            raise _start_fault(made.setup_error)
        made.phase = STARTING
        made.save()
        failpoint.hit("supervisor.start_noted")

        def told(error: str) -> None:
            if connection.fileno() < 0:  # a new server may have asked before this
                self.publish("resumed", made)
                return
            fault = _start_fault(error)
            self.reply(connection, {"error": (fault.kind, fault.message)} if error else made.state())

        made.on_start = told
        with contextlib.suppress(OSError):  # it is gone: the end of the control socket tells why
            made.control.send(init.GO)
        failpoint.hit("supervisor.go_sent")
        return None

    def _do_kill(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.find(request["id"])
        if made.pidfd >= 0 and made.phase in (RUNNING, STARTING):
            spawn.kill(made.pidfd, request["signal"])
        return {}

    def _do_stop(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        """Send the stop signal, kill the group at the end of the grace period; answer once it has ended."""
        made = self.find(request["id"])
        if made.is_published:
            return made.state()
        if made.phase == CREATED:
            self._cancel(made, lambda: self.reply(connection, made.state()))
            return None
        left = request["until"] - time.monotonic()
        if left > 0:
            spawn.kill(made.pidfd, made.spec["stop_signal"]) if made.pidfd >= 0 else None
            timer = self.loop.after(left, made.group.kill)
            made.on_exit.append(timer.cancel)
        else:
            made.group.kill()
        failpoint.hit("supervisor.kill_sent")
        made.on_exit.append(lambda: self.reply(connection, made.state()))
        return None

    def _cancel(self, made: Container, told: Callable[[], None]) -> None:
        """End a container that was never started."""
        made.phase, made.exit_code, made.reason = EXITED, 128 + signal.SIGKILL, "Error"
        made.message = made.setup_error = made.setup_error or "stopped before it was started"
        made.finished_at = time.time_ns()
        made.save()
        made.on_exit.append(told)
        if made.pidfd < 0:
            self.tell_exit(made)
            return
        made.group.kill()
        spawn.kill(made.pidfd, signal.SIGKILL)

    def _do_wait(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.find(request["id"])
        if made.is_published:
            return made.state()
        made.on_exit.append(lambda: self.reply(connection, made.state()))
        return None

    def _do_remove(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.containers.get(request["id"])
        if made is None:
            return {}
        failpoint.hit("supervisor.remove_begun")
        if made.pidfd >= 0:
            made.group.kill()
            if made.phase != EXITED:
                spawn.kill(made.pidfd, 9)
            made.on_exit.append(lambda: self._finish_remove(made, connection))
            if made.phase == CREATED:
                made.setup_error = made.setup_error or "removed"
            return None
        self._finish_remove(made, connection)
        return None

    def _finish_remove(self, made: Container, connection: socket.socket) -> None:
        if self.containers.pop(made.id, None) is None:
            self.reply(connection, {})
            return
        failpoint.hit("supervisor.removed")
        self._forget(made, lambda: self.reply(connection, {}))
        made.phase, made.is_published = EXITED, True
        self.publish("removed", made)

    def _forget(self, made: Container, told: Callable[[], None]) -> None:
        for name, fd in ((f"{made.id}.in", made.stdin), (f"{made.id}.tty", made.master)):
            if fd >= 0:
                os.close(fd)
                self.drop(name)
        made.stdin = made.master = -1
        self.logs.forget(made.id)

        def done() -> bool:
            if made.group.remove():
                failpoint.hit("supervisor.group_gone")
                made.drop_record()
                return True
            return False

        self._remove_group(done, told)

    def _remove_group(self, attempt: Callable[[], bool], told: Callable[[], None], tries: int = 0) -> None:
        """Remove now, or as soon as the kernel lets go of the dying processes; tell then, or when it lasts.

        Whoever makes a holder anew must not find the old group: a killed group kills who is born there.
        """
        is_gone = attempt()
        if tries == _GROUP_TRIES_TOLD or (is_gone and tries < _GROUP_TRIES_TOLD):
            told()
        if not is_gone and tries < _GROUP_TRIES:
            wait_s = min(0.002 * 2**tries, 0.5)
            self.loop.after(wait_s, lambda: self._remove_group(attempt, told, tries + 1))

    def _do_subscribe(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        self._subscribers[connection] = frozenset(request["kinds"])
        return {}

    def publish(self, kind: str, made: Container) -> None:
        """Tell subscribers; one that does not read is dropped and must list again."""
        for connection, kinds in tuple(self._subscribers.items()):
            if not kinds or kind in kinds:
                self.reply(connection, {"event": kind, "state": made.state()})

    def _do_exec(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.find(request["id"])
        if made.phase != RUNNING or made.pidfd < 0:
            raise faults.RuntimeFault(
                faults.FAILED_PRECONDITION, f"cannot exec in container {made.id}: it is {made.phase}"
            )
        Session(self, made, connection, request, fds)
        return None

    def _do_end(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        """Kill the exec session of this connection; its exit is the answer."""
        for session in self.sessions.values():
            if session.connection is connection:
                session.abandon()
        return None

    def _do_input(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        """Hand out a descriptor to write the container's input to."""
        made = self.find(request["id"])
        if made.master >= 0:
            self.reply(connection, {"tty": True, "once": made.spec["stdin_once"]}, [made.master])
            return None
        if made.stdin < 0:
            return {"tty": made.spec["process"]["tty"], "once": False}
        self.reply(connection, {"tty": False, "once": made.spec["stdin_once"]}, [made.stdin])
        return None

    def _do_close_input(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.find(request["id"])
        if made.stdin >= 0:
            os.close(made.stdin)
            made.stdin = -1
            self.drop(f"{made.id}.in")
        return {}

    def _do_terminal(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        made = self.find(request["id"])
        self.reply(connection, {}, [made.master] if made.master >= 0 else [])

    def _do_limit(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        checks.limit(self.find(request["id"]), request["resources"])
        return {}

    def _do_namespaces(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        """Make a Pod's user namespace and those it owns; this process alone may, having one thread."""
        made = userns.make(request["uid_map"], request["gid_map"])
        try:
            self.reply(connection, {}, made)
        finally:
            for fd in made:
                os.close(fd)

    def _do_shutdown(self, request: dict[str, Any], fds: list[int], connection: socket.socket) -> Any:
        packets.send(self.store, ("stop", ""))
        return {}

    # exits

    def exited(self, made: Container, status: int | None, when: int) -> None:
        """A container's first process has ended. status: wait status, None = unknown."""
        self.loop.remove(made.pidfd)
        self.hear(made)  # a command may end before we hear that it began
        os.close(made.pidfd)
        made.pidfd = -1
        if made.phase == STARTING and not made.is_child and status == init.NEVER_STARTED << 8:
            made.phase, made.pid = CREATED, 0  # an earlier supervisor died before it could say go
            made.save()
            self._run_on_exit(made)
            return
        made.group.kill()  # a shared PID namespace does not die with it
        child = made.pid if made.is_child else 0
        if made.phase in (RUNNING, STARTING):
            exits.set_exit(made, status, when)
            failpoint.hit("supervisor.exit_seen")
            made.save()
            failpoint.hit("supervisor.exit_noted")
            exits.reap(child)
        elif made.phase == CREATED:
            made.setup_error = made.setup_error or exits.describe_death(made, status)
            made.pid = 0
            made.save()
            exits.reap(child)
            self._run_on_exit(made)
            return
        else:
            exits.reap(child)
        if made.is_published:
            self._run_on_exit(made)
        else:
            self.tell_exit(made)

    def tell_exit(self, made: Container) -> None:
        """Publish an exit once its last output is in the log, or after a short while."""
        if made.is_published or made.flush_timer is not None:
            return

        def done() -> None:
            if made.flush_timer is not None:
                made.flush_timer.cancel()
            if made.is_published:
                return
            made.is_published = True
            if made.id in self.containers:
                self.publish("exited", made)
            self._run_on_exit(made)

        if made.spec["holder"]:  # it has no output
            done()
            return
        made.flush_timer = self.loop.after(_FLUSH_TIMEOUT_S, done)
        self.logs.flush(made.id, done)

    def _run_on_exit(self, made: Container) -> None:
        if made.pidfd >= 0:
            return
        todo, made.on_exit = made.on_exit, []
        for call in todo:
            call()

    # what other processes keep for us

    def keep(self, name: str, fd: int) -> None:
        """Have keeper hold a descriptor over our death."""
        packets.send(self.store, ("put", name), [fd])

    def drop(self, name: str) -> None:
        """Have keeper let go of a descriptor."""
        packets.send(self.store, ("drop", name))

    def _readd_logs(self) -> None:
        for made in self.containers.values():
            if made.pidfd >= 0 and not made.spec["holder"]:
                adoption.add_logs(self, made)


def _start_fault(text: str) -> faults.RuntimeFault:
    return faults.RuntimeFault(
        faults.INVALID_ARGUMENT, f"failed to start container: unable to start container process: {text}"
    )
