"""Jobs: Pods that run to their end, as often as asked, counted exactly once each.

plan() and the status functions decide (job_plan, job_view, job_status); this shell carries out, in the order
that survives a crash: Pods, status with the UIDs of ended Pods, finalizers, status with the numbers.
Source: pkg/controller/job/job_controller.go.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import informer, runner
from nanokube.client.interface import PatchKind
from nanokube.controllers import job_failures, job_plan, job_status, owned_pods, pods, revision_guard
from nanokube.controllers.env import Env
from nanokube.controllers.job_view import TRACKING, View, condition, is_finished

JOBS = resources.get("jobs.batch")
PODS = resources.get("pods")
CONTROLLER = "kubernetes.io/job-controller"


class JobController:
    """Brings Jobs to their end; a second queue frees Pods whose Job is gone."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._jobs = env.informers.of(JOBS)
        self._pods = env.informers.of(PODS)
        self._written = revision_guard.RevisionGuard()
        self._records: dict[str, job_failures.Record] = {}
        self._freed: dict[str, set[str]] = {}
        self.runner = runner.Runner("job", self.reconcile)
        self._orphans = runner.Runner("job-orphan", self.free_orphan)
        self._owned = owned_pods.OwnedPods(env, self.runner, JOBS, finalizers=(TRACKING,))
        for source in (self._jobs, self._pods):
            self._orphans.reads(source)
        self._pods.subscribe(self._pod_changed)
        self._jobs.subscribe(self._job_changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.runner.run(), name="jobs")
            group.create_task(self._orphans.run(), name="job orphans")
        raise AssertionError("runners never end")

    async def reconcile(self, key: str) -> float | None:
        """Bring one Job one step further."""
        job = self._jobs.get(key)
        if job is None or is_finished(job):
            self._forget(key)
            return None
        if objects.spec(job).get("managedBy") not in (None, CONTROLLER):
            return None
        if not self._written.is_seen(key, job):
            return 1.0  # the cache is older than our own last write; its event will come
        satisfied = self._owned.expected.satisfied(key)
        found = await self._owned.claim(job)
        record = self._records.get(key, job_failures.Record())
        freed = frozenset(self._freed.get(key, ()))
        view = View(job, found, self._env.clock.time(), record, freed)
        todo = job_plan.plan(view)
        outcome, failure = await self._manage(key, view, todo, satisfied=satisfied)
        await self._report(key, view, todo, outcome, managed=satisfied and todo.ending is None)
        if failure is not None:
            raise failure
        return todo.again_s

    async def _manage(
        self, key: str, view: View, todo: job_plan.Plan, *, satisfied: bool
    ) -> tuple[job_status.Outcome, Exception | None]:
        """Create or delete Pods; give what that leaves, and the first failure."""
        active, terminating = len(view.active), len(view.terminating)
        ready = sum(pods.is_ready(pod) for pod in view.active)
        ending, failure = todo.ending, None
        if ending is not None or (satisfied and todo.delete):
            deleted, failure = await self._delete(key, view, todo)
            if len(deleted) < len(todo.delete) or not satisfied:
                ending = None
            active -= len(deleted)
            terminating += len(deleted)
            ready -= sum(pods.is_ready(pod) for pod in deleted)
        elif satisfied and todo.create:
            self._owned.expected.expect(key, creates=len(todo.create))
            created, failure = await self._owned.create(key, view.job, todo.create)
            active += created
        if todo.ending is None and job_plan.is_complete(view, todo.count, active):
            message = "Reached expected number of succeeded pods"
            ending = condition("SuccessCriteriaMet", "CompletionsReached", message, view.now)
        return job_status.Outcome(active, ready, terminating, ending), failure

    async def _delete(
        self, key: str, view: View, todo: job_plan.Plan
    ) -> tuple[list[Object], Exception | None]:
        if todo.frees:
            self._owned.expected.expect(key, deletes={objects.uid(pod) for pod in todo.delete})
            await asyncio.gather(*(self._take_finalizer(pod) for pod in todo.delete), return_exceptions=True)
        return await self._owned.delete(key, view.job, todo.delete)

    async def _report(
        self, key: str, view: View, todo: job_plan.Plan, outcome: job_status.Outcome, *, managed: bool
    ) -> None:
        """Write the status around the removal of finalizers, as far as anything changed."""
        job = view.job
        begun, reason = job_status.begun(view, managed=managed and outcome.ending is None)
        if reason:
            self._env.events.event(job, "Normal", reason, f"Job {reason.lower()}")
        tracked = job_status.track(view, todo.count, outcome, begun)
        job = await self._write(key, job, tracked.status)
        self._records[key] = todo.count.record
        freed, failure = await self._free(key, tracked.free)
        remaining = tracked.tracked - freed
        ended = job_status.settled(view, tracked.status, remaining, outcome.ending if not failure else None)
        job = await self._write(key, job, ended)
        if failure is not None:
            raise failure
        if is_finished(job):
            self._tell_end(job)

    async def _write(self, key: str, job: Object, status: dict[str, Any]) -> Object:
        if status == objects.status(job):
            return job
        written = await self._env.client.update(JOBS, {**job, "status": status}, subresource="status")
        self._written.wrote(key, written)
        return written

    async def _free(self, key: str, found: Sequence[Object]) -> tuple[set[str], Exception | None]:
        """Take the finalizer off Pods; give the UIDs of those without it now, and the first failure."""
        freed = self._freed.setdefault(key, set())
        uids = [objects.uid(pod) for pod in found]
        freed.update(uids)
        outcomes = await asyncio.gather(*(self._take_finalizer(pod) for pod in found), return_exceptions=True)
        failed = {uid for uid, outcome in zip(uids, outcomes, strict=True) if isinstance(outcome, Exception)}
        freed -= failed
        failure = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        return set(uids) - failed, failure

    async def _take_finalizer(self, pod: Object) -> None:
        if TRACKING not in objects.finalizers(pod):
            return
        body = {"metadata": {"uid": objects.uid(pod), "$deleteFromPrimitiveList/finalizers": [TRACKING]}}
        name, namespace = objects.name(pod), objects.namespace(pod)
        try:
            await self._env.client.patch(PODS, name, body, namespace, kind=PatchKind.STRATEGIC)
        except errors.ApiError as err:
            if err.code not in (404, 409):  # 409: another Pod of that name
                raise

    def _tell_end(self, job: Object) -> None:
        spec, status = objects.spec(job), objects.status(job)
        if objects.is_condition_true(job, "Complete"):
            if spec.get("completions") is not None and status.get("succeeded", 0) > spec["completions"]:
                message = "Too many succeeded pods running after completion count reached"
                self._env.events.event(job, "Warning", "TooManySucceededPods", message)
            self._env.events.event(job, "Normal", "Completed", "Job completed")
        else:
            failed = objects.condition(job, "Failed") or {}
            self._env.events.event(job, "Warning", failed["reason"], failed["message"])

    async def free_orphan(self, key: str) -> float | None:
        """Take the finalizer off a Pod that no living Job will count."""
        pod = self._pods.get(key)
        if pod is None or TRACKING not in objects.finalizers(pod):
            return None
        reference = objects.controller_of(pod)
        if reference is not None and reference["kind"] == JOBS.kind:
            job = self._jobs.get(objects.join_key(objects.namespace(pod), reference["name"]))
            if job is not None and objects.uid(job) == reference["uid"] and not is_finished(job):
                return None
        await self._take_finalizer(pod)
        return None

    def _forget(self, key: str) -> None:
        self._owned.expected.forget(key)
        self._written.forget(key)
        self._records.pop(key, None)
        self._freed.pop(key, None)

    def _pod_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        reference = objects.controller_of(new)
        tracked = TRACKING in objects.finalizers(new)
        if reference is not None and (change == "DELETED" or not tracked):
            key = objects.join_key(objects.namespace(new), reference["name"])
            self._freed.get(key, set()).discard(objects.uid(new))
        if tracked and change != "DELETED" and (reference is None or objects.is_deleting(new)):
            self._orphans.queue.add(objects.key(new))

    def _job_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        if change == "DELETED" or is_finished(new):
            # At its end the Job has freed its Pods already; the cache is given time to show it.
            delay_s = 0.0 if change == "DELETED" else 1.0
            for pod in self._owned.present(new):
                if TRACKING in objects.finalizers(pod):
                    self._orphans.queue.add_after(objects.key(pod), delay_s)
