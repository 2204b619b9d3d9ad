"""Jobs, told as stories in virtual time, and the tables of their policies."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.controllers import job, job_failures, job_indexes
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import PODS, Stage, template

JOBS = resources.get("jobs.batch")
FAIL_ON_3 = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}


def a_job(**spec: Any) -> dict[str, Any]:
    labels = {"batch.kubernetes.io/controller-uid": "u", "job-name": "j"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "ns"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "selector": {"matchLabels": labels},
            "template": template(labels=labels, restartPolicy="Never", nodeName="n"),
            **spec,
        },
    }


def conditions(stage: Stage) -> dict[str, str]:
    return {
        each["type"]: each["reason"]
        for each in stage.status(JOBS, "ns/j").get("conditions") or ()
        if each["status"] == "True"
    }


def numbers(stage: Stage) -> tuple[int, int, int]:
    status = stage.status(JOBS, "ns/j")
    return status.get("active", 0), status.get("succeeded", 0), status.get("failed", 0)


def indexed(stage: Stage, index: int) -> str:
    found = [p for p in stage.pods() if job_indexes.of(p) == index and p["status"]["phase"] == "Pending"]
    assert len(found) == 1, stage.names()
    return objects.name(found[0])


def test_pods_run_to_completion_and_are_counted_once() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            await stage.client.create(JOBS, a_job(completions=3, parallelism=2))
            await asyncio.sleep(0.1)
            assert numbers(stage) == (2, 0, 0)
            assert all(
                objects.finalizers(pod) == ["batch.kubernetes.io/job-tracking"] for pod in stage.pods()
            )
            for name in stage.names():
                stage.end(name)
            await asyncio.sleep(0.1)
            assert numbers(stage) == (1, 2, 0)
            stage.end(next(objects.name(p) for p in stage.pods() if p["status"]["phase"] == "Pending"))
            await asyncio.sleep(0.1)
            assert numbers(stage) == (0, 3, 0)
            assert conditions(stage) == {
                "SuccessCriteriaMet": "CompletionsReached",
                "Complete": "CompletionsReached",
            }
            assert stage.status(JOBS, "ns/j")["uncountedTerminatedPods"] == {}
            assert not any(objects.finalizers(pod) for pod in stage.pods())
            assert "Normal Completed Job completed" in stage.events.lines

    virtual_time.run(story())


def test_failures_are_retried_slower_each_time_until_the_limit() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            await stage.client.create(JOBS, a_job(backoffLimit=2))
            for delay_s in (10, 20):
                await asyncio.sleep(0.1)
                stage.end(objects.name(stage.pods()[-1]), 1)
                count = len(stage.pods())
                await asyncio.sleep(delay_s - 1)
                assert len(stage.pods()) == count
                await asyncio.sleep(2)
                assert len(stage.pods()) == count + 1
            stage.end(objects.name(stage.pods()[-1]), 1)
            await asyncio.sleep(0.1)
            assert numbers(stage) == (0, 0, 3)
            assert conditions(stage)["Failed"] == "BackoffLimitExceeded"
            limit = "Warning BackoffLimitExceeded Job has reached the specified backoff limit"
            assert limit in stage.events.lines

    virtual_time.run(story())


def test_indexes_fail_apart_from_each_other() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            shape = {"completions": 4, "parallelism": 4, "completionMode": "Indexed"}
            await stage.client.create(JOBS, a_job(**shape, backoffLimitPerIndex=1))
            await asyncio.sleep(0.1)
            one = next(pod for pod in stage.pods() if job_indexes.of(pod) == 1)
            assert objects.name(one).startswith("j-1-")
            assert one["spec"]["hostname"] == "j-1"
            assert one["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
            for index in range(4):
                stage.end(indexed(stage, index), index % 2)
            await asyncio.sleep(12)
            for index in (1, 3):
                name = indexed(stage, index)
                pod = stage.client.read(PODS, f"ns/{name}")
                assert pod is not None
                assert job_indexes.failures(pod) == 1
                stage.end(name, 1)
            await asyncio.sleep(0.1)
            status = stage.status(JOBS, "ns/j")
            assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1,3")
            assert numbers(stage) == (0, 2, 4)
            assert conditions(stage)["Failed"] == "FailedIndexes"

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"maxFailedIndexes": 0}, "MaxFailedIndexesExceeded"),
        ({"podFailurePolicy": {"rules": [FAIL_ON_3]}}, "PodFailurePolicy"),
    ],
)  # fmt: skip
def test_job_fails_early_and_ends_its_pods(spec: dict[str, Any], reason: str) -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            shape = {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}
            await stage.client.create(JOBS, a_job(**shape, backoffLimitPerIndex=0, **spec))
            await asyncio.sleep(0.1)
            stage.end(indexed(stage, 0), 3)
            await asyncio.sleep(0.1)
            assert conditions(stage) == {"FailureTarget": reason}
            assert stage.status(JOBS, "ns/j")["terminating"] == 1
            for pod in stage.pods():
                if objects.is_deleting(pod):
                    stage.gone(objects.name(pod))
            await asyncio.sleep(0.1)
            assert conditions(stage)["Failed"] == reason

    virtual_time.run(story())


def test_success_policy_ends_the_rest() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            rules = {"rules": [{"succeededIndexes": "0"}]}
            shape = {"completions": 3, "parallelism": 3, "completionMode": "Indexed"}
            await stage.client.create(JOBS, a_job(**shape, successPolicy=rules))
            await asyncio.sleep(0.1)
            stage.end(indexed(stage, 0))
            await asyncio.sleep(0.1)
            assert conditions(stage) == {"SuccessCriteriaMet": "SuccessPolicy"}
            for pod in stage.pods():
                if objects.is_deleting(pod):
                    stage.gone(objects.name(pod))
            await asyncio.sleep(0.1)
            assert conditions(stage)["Complete"] == "SuccessPolicy"
            status = stage.status(JOBS, "ns/j")
            assert (status.get("active", 0), status["ready"], status["terminating"]) == (0, 0, 0)

    virtual_time.run(story())


def test_suspended_job_has_no_pods_and_resumes() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            await stage.client.create(JOBS, a_job(suspend=True))
            await asyncio.sleep(0.1)
            assert stage.names() == []
            assert conditions(stage) == {"Suspended": "JobSuspended"}
            assert "startTime" not in stage.status(JOBS, "ns/j")
            await stage.client.patch(JOBS, "j", {"spec": {"suspend": False}}, "ns")
            await asyncio.sleep(0.1)
            assert len(stage.names()) == 1
            assert conditions(stage) == {}
            await stage.client.patch(JOBS, "j", {"spec": {"suspend": True}}, "ns")
            await asyncio.sleep(0.1)
            assert numbers(stage)[0] == 0
            assert stage.events.lines[-1] in ("Normal Suspended Job suspended",)

    virtual_time.run(story())


def test_deadline_ends_a_job() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            await stage.client.create(JOBS, a_job(activeDeadlineSeconds=30))
            await asyncio.sleep(31)
            assert conditions(stage) == {"FailureTarget": "DeadlineExceeded"}
            stage.gone(stage.names()[0])
            await asyncio.sleep(0.1)
            assert conditions(stage)["Failed"] == "DeadlineExceeded"

    virtual_time.run(story())


def test_adopted_pod_is_tracked_and_released_pod_is_freed() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            await stage.client.create(JOBS, a_job(parallelism=2, completions=2))
            await asyncio.sleep(0.1)
            name = stage.names()[0]
            await stage.client.patch(PODS, name, {"metadata": {"ownerReferences": None}}, "ns")
            await asyncio.sleep(0.1)
            pod = stage.client.read(PODS, f"ns/{name}")
            assert pod is not None
            assert objects.controller_of(pod)
            assert objects.finalizers(pod)
            await stage.client.patch(PODS, name, {"metadata": {"labels": None}}, "ns")
            await asyncio.sleep(0.1)
            pod = stage.client.read(PODS, f"ns/{name}")
            assert pod is not None
            assert not objects.controller_of(pod)
            assert not objects.finalizers(pod)

    virtual_time.run(story())


def test_pods_of_a_deleted_job_are_freed() -> None:
    async def story() -> None:
        stage = Stage(job.JobController)
        async with stage.running():
            await stage.client.create(JOBS, a_job())
            await asyncio.sleep(0.1)
            await stage.client.delete(JOBS, "j", "ns")
            await asyncio.sleep(0.1)
            assert not any(objects.finalizers(pod) for pod in stage.pods())

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("failures", "delay_s"), [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (60, 600)]
)
def test_delays(failures: int, delay_s: float) -> None:
    assert job_failures.delay_s(failures, 100.0, 100.0) == delay_s
