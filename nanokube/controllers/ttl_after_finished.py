"""Deletes Jobs a while after their end, if they ask for it.

Source: pkg/controller/ttlafterfinished/ttlafterfinished_controller.go.
"""

from typing import Never

from nanokube.api import errors, objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

JOBS = resources.get("jobs.batch")


def due_in(job: Object, now: float) -> float | None:
    """Give the seconds until a Job is to go, 0 if it is; None for one that stays or has not ended. Pure."""
    ttl_s = objects.spec(job).get("ttlSecondsAfterFinished")
    if ttl_s is None or objects.is_deleting(job):
        return None
    for end in ("Complete", "Failed"):
        condition = objects.condition(job, end)
        if condition is not None and condition["status"] == "True":
            return max(0.0, timestamps.parse(condition["lastTransitionTime"]) + int(ttl_s) - now)
    return None


class TtlAfterFinishedController:
    """Waits for each ended Job's time."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._jobs = env.informers.of(JOBS)
        self.runner = runner.Runner("ttl-after-finished", self.reconcile, workers=1)
        self.runner.watches(self._jobs)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Delete a Job whose time has come, judged by its present state on the server."""
        job = self._jobs.get(key)
        left_s = due_in(job, self._env.clock.time()) if job is not None else None
        if left_s != 0:
            return left_s
        namespace, name = objects.split_key(key)
        try:
            fresh = await self._env.client.get(JOBS, name, namespace)
            left_s = due_in(fresh, self._env.clock.time())
            if left_s == 0:
                await self._env.client.delete(
                    JOBS, name, namespace, propagation="Foreground", uid=objects.uid(fresh)
                )
                return None
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                raise
            return None
        return left_s
