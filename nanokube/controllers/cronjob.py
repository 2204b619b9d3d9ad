"""CronJobs: a Job at each time of a schedule.

Source: pkg/controller/cronjob/cronjob_controllerv2.go.
"""

from collections.abc import Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import informer, runner, store
from nanokube.controllers import cronjob_plan, revision_guard
from nanokube.controllers.env import Env

CRONJOBS = resources.get("cronjobs.batch")
JOBS = resources.get("jobs.batch")


class CronJobController:
    """Makes Jobs when they are due and tidies up after them."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._cronjobs = env.informers.of(CRONJOBS)
        self._jobs = env.informers.of(JOBS)
        self._jobs.add_index("controller", store.by_controller)
        self._written = revision_guard.RevisionGuard()
        self.runner = runner.Runner("cronjob", self.reconcile)
        self.runner.watches(self._cronjobs)
        self.runner.reads(self._jobs)
        self._jobs.subscribe(self._job_changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Make the Job that is due, if one is; give the seconds until the next."""
        cronjob = self._cronjobs.get(key)
        if cronjob is None:
            self._written.forget(key)
            return None
        if not self._written.is_seen(key, cronjob):
            return 1.0  # its event will come; a decision now could make a Job twice
        jobs = self._jobs.by_index("controller", objects.uid(cronjob))
        gone = {
            objects.uid(job)
            for job in cronjob_plan.surplus(cronjob, jobs)
            if await self._delete(cronjob, job)
        }
        jobs = [job for job in jobs if objects.uid(job) not in gone]
        missing = await self._missing(cronjob, jobs)
        todo = cronjob_plan.plan(cronjob, jobs, missing, self._env.clock.time())
        for event in todo.events:
            self._env.events.event(cronjob, *event)
        status = await self._start(cronjob, todo) if todo.create is not None else todo.status
        if status != objects.status(cronjob):
            body = {**cronjob, "status": status}
            written = await self._env.client.update(CRONJOBS, body, subresource="status")
            self._written.wrote(key, written)
        return todo.again_s

    async def _start(self, cronjob: Object, todo: cronjob_plan.Plan) -> dict[str, Any]:
        """Replace and create; give the status that tells of it."""
        active = list(todo.status.get("active") or ())
        for old in todo.replace:
            if not await self._delete(cronjob, old):
                raise ConnectionError(f"could not replace job {objects.key(old)}")
            active = [each for each in active if each["uid"] != objects.uid(old)]
        job = await self._create(cronjob, todo.create or {})
        if job is None:
            return dict(objects.status(cronjob))
        if all(each["uid"] != objects.uid(job) for each in active):
            active.append(cronjob_plan.reference(job))
        return cronjob_plan.with_active(todo.status, active)

    async def _create(self, cronjob: Object, job: Object) -> Object | None:
        """Create a Job, or find it made already; None if its name is taken by another's."""
        try:
            made = await self._env.client.create(JOBS, job)
        except errors.ApiError as err:
            if errors.is_already_exists(err):
                found = await self._env.client.get(JOBS, objects.name(job), objects.namespace(job))
                return found if objects.is_controlled_by(found, cronjob) else None
            self._env.events.event(cronjob, "Warning", "FailedCreate", f"Error creating job: {err}")
            raise
        self._env.events.event(cronjob, "Normal", "SuccessfulCreate", f"Created job {objects.name(made)}")
        return made

    async def _delete(self, cronjob: Object, job: Object) -> bool:
        name, namespace = objects.name(job), objects.namespace(job)
        try:
            await self._env.client.delete(JOBS, name, namespace, propagation="Background")
        except errors.ApiError as err:
            if errors.is_not_found(err):
                return True
            self._env.events.event(cronjob, "Warning", "FailedDelete", f"Deleted job: {err}")
            return False
        self._env.events.event(cronjob, "Normal", "SuccessfulDelete", f"Deleted job {name}")
        return True

    async def _missing(self, cronjob: Object, jobs: Sequence[Object]) -> set[str]:
        """Find active Jobs that are gone; asks the server, for the cache may not know a new one yet."""
        known = {objects.uid(job) for job in jobs}
        gone: set[str] = set()
        for each in objects.status(cronjob).get("active") or ():
            if each["uid"] in known:
                continue
            try:
                await self._env.client.get(JOBS, each["name"], each["namespace"])
            except errors.ApiError as err:
                if not errors.is_not_found(err):
                    raise
                gone.add(each["uid"])
        return gone

    def _job_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        reference = objects.controller_of(new)
        if reference is not None and reference["kind"] == CRONJOBS.kind:
            self.runner.queue.add(objects.join_key(objects.namespace(new), reference["name"]))
