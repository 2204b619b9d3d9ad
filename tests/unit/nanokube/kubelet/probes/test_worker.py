from nanokube.kubelet.probes.results import Verdict
from nanokube.kubelet.probes.worker import Streak


def test_a_verdict_needs_its_threshold_in_a_row() -> None:
    streak = Streak(success_threshold=2, failure_threshold=3)
    answers = [False, False, True, True, False, False, False]
    verdicts = [streak.add(answer) for answer in answers]
    assert verdicts == [None, None, None, Verdict.SUCCESS, None, None, Verdict.FAILURE]
