from nanokube.kubelet.backoff import Backoffs


def test_the_first_failure_is_free_and_delays_double_to_five_minutes() -> None:
    backoffs = Backoffs()
    now = 1000.0
    delays = []
    for _ in range(8):
        assert backoffs.ready_at("k", now) >= 0
        delays.append(max(0.0, backoffs.ready_at("k", now) - now))
        now = max(now, backoffs.ready_at("k", now))
        backoffs.next("k", now, now)
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_minutes_of_peace_forgive() -> None:
    backoffs = Backoffs()
    backoffs.next("k", 0, 0)
    backoffs.next("k", 1, 1)
    assert backoffs.ready_at("k", 602) == 0.0
