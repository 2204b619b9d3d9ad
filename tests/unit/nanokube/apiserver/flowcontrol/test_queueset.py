"""Fair queuing on a virtual clock: who runs, waits, is refused, and what is given back."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from nanokube.apiserver.flowcontrol.queueset import (
    NO_SEATS,
    QUEUE_FULL,
    QueueSet,
    Queuing,
    State,
    Ticket,
    deal,
)
from nanokube.apiserver.flowcontrol.seats import ONE, Width, of_list, of_write

FOUR = Queuing(queues=16, hand=2, length=4)


def test_a_free_seat_is_taken_at_once_and_given_back() -> None:
    level = QueueSet(1, FOUR)
    first = level.arrive("a", ONE, 0.0)
    second = level.arrive("a", ONE, 0.0)
    assert (first.state, second.state, level.demand) == (State.RUNNING, State.WAITING, 2)
    assert level.finish(first, 1.0) == ([second], 0.0)
    assert (second.state, level.seats, level.waiting) == (State.RUNNING, 1, 0)
    level.finish(second, 2.0)
    assert (level.seats, level.running, level.demand, level.active_queues) == (0, 0, 0, 0)


def test_without_queues_who_finds_no_seat_is_refused() -> None:
    level = QueueSet(1, None)
    first, second = level.arrive("a", ONE, 0.0), level.arrive("b", ONE, 0.0)
    assert (first.state, second.state, second.reason) == (State.RUNNING, State.REFUSED, NO_SEATS)
    level.finish(first, 1.0)
    assert level.arrive("b", ONE, 1.0).state is State.RUNNING


def test_a_full_queue_refuses() -> None:
    level = QueueSet(1, Queuing(queues=1, hand=1, length=2))
    states = [level.arrive("a", ONE, 0.0) for _ in range(4)]
    assert [t.state for t in states] == [State.RUNNING, State.WAITING, State.WAITING, State.REFUSED]
    assert states[3].reason == QUEUE_FULL


def _serve(level: QueueSet, arrivals: list[Ticket], rounds: int, seconds: float) -> list[str]:
    """End the oldest running request each `seconds`, and name the flows in the order they start."""
    running = [t for t in arrivals if t.state is State.RUNNING]
    order, now = [t.flow for t in running], 0.0
    for _ in range(rounds):
        now += seconds
        started, _ = level.finish(running.pop(0), now)
        running += started
        order += [t.flow for t in started]
    return order


def test_flows_get_equal_parts_however_many_requests_they_have() -> None:
    level = QueueSet(1, Queuing(queues=64, hand=1, length=200))
    flows = ["elephant"] * 100 + ["mouse", "rat"] * 10
    order = _serve(level, [level.arrive(flow, ONE, 0.0) for flow in flows], 30, 0.01)
    parts = Counter(order[1:31])
    assert parts["mouse"] == 10
    assert parts["rat"] == 10


def test_wide_requests_count_by_their_seats() -> None:
    level = QueueSet(4, Queuing(queues=64, hand=1, length=200))
    wide = [level.arrive("wide", Width(4), 0.0) for _ in range(50)]
    thin = [level.arrive("thin", ONE, 0.0) for _ in range(50)]
    served = Counter(t.flow for t in wide + thin if t.state is State.RUNNING for _ in range(t.seats))
    for tick in range(1, 30):
        for ticket in [t for t in wide + thin if t.state is State.RUNNING and t.started < tick * 0.01]:
            started, _ = level.finish(ticket, tick * 0.01)
            served.update(t.flow for t in started for _ in range(t.seats))
        assert level.seats <= 4
    assert 0.6 < served["wide"] / served["thin"] < 1.7


def test_a_wide_request_is_waited_for() -> None:
    level = QueueSet(4, Queuing(queues=1, hand=1, length=9))
    thin = [level.arrive("a", ONE, 0.0) for _ in range(3)]
    wide, late = level.arrive("a", Width(4), 0.0), level.arrive("a", ONE, 0.0)
    assert (wide.state, late.state) == (State.WAITING, State.WAITING)
    for number, ticket in enumerate(thin):
        level.finish(ticket, 1.0 + number)
    assert (wide.state, late.state, level.seats) == (State.RUNNING, State.WAITING, 4)


def test_a_request_wider_than_the_level_runs_alone() -> None:
    level = QueueSet(2, FOUR)
    assert level.arrive("a", Width(5), 0.0).state is State.RUNNING
    assert level.arrive("b", ONE, 0.0).state is State.WAITING
    assert QueueSet(0, FOUR).arrive("a", ONE, 0.0).state is State.WAITING


def test_who_gives_up_leaves_the_queue_and_lets_others_through() -> None:
    level = QueueSet(2, Queuing(queues=1, hand=1, length=9))
    first, wide, late = (level.arrive("a", w, 0.0) for w in (ONE, Width(2), ONE))
    assert level.cancel(wide, 15.0) == [late]
    assert (wide.state, late.state, level.waiting_seats) == (State.GONE, State.RUNNING, 0)
    assert level.cancel(wide, 16.0) == []
    level.cancel(first, 16.0)
    assert (level.seats, level.running) == (1, 1)


def test_seats_are_kept_for_the_time_after() -> None:
    level = QueueSet(3, FOUR)
    write = level.arrive("a", Width(1, 2, 0.5), 0.0)
    assert level.seats == 2
    waiting = level.arrive("b", Width(3), 0.0)
    assert level.finish(write, 1.0) == ([], 0.5)
    assert (level.seats, waiting.state) == (2, State.WAITING)
    assert level.release(write, 1.5) == [waiting]
    assert level.release(write, 1.6) == []


def test_who_waited_is_woken() -> None:
    level, woken = QueueSet(1, FOUR), list[str]()
    first, second = level.arrive("a", ONE, 0.0), level.arrive("b", ONE, 0.0)
    second.wake = lambda: woken.append("b")
    level.finish(first, 1.0)
    assert woken == ["b"]


def test_more_seats_start_more_requests() -> None:
    level = QueueSet(1, FOUR)
    tickets = [level.arrive(flow, ONE, 0.0) for flow in "abc"]
    assert set(level.resize(3, 1.0)) == set(tickets[1:])
    assert level.resize(1, 2.0) == []
    level.finish(tickets[0], 3.0)
    assert level.seats == 2


def test_dealt_hands() -> None:
    hands = {flow: deal(flow, 64, 8) for flow in map(str, range(200))}
    assert all(len(set(hand)) == 8 and max(hand) < 64 for hand in hands.values())
    assert deal("a", 64, 8) == deal("a", 64, 8)
    overlaps = [len(set(a) & set(b)) for a, b in itertools.combinations(hands.values(), 2)]
    assert max(overlaps) < 8
    assert sum(overlaps) / len(overlaps) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("count", "limit", "options", "expected"),
    [
        (5000, 0, {}, 10),
        (950, 0, {}, 10),
        (450, 0, {}, 5),
        (50, 0, {}, 1),
        (5000, 0, {"is_single": True}, 1),
        (5000, 100, {"from_cache": False}, 2),
        (500, 100, {"from_cache": False, "is_filtered": True}, 6),
        (5000, 0, {"most": 3}, 3),
    ],
)
def test_seats_of_lists(count: int, limit: int, options: dict[str, bool], expected: int) -> None:
    given = {"is_single": False, "is_filtered": False, "from_cache": True, "most": 10, **options}
    assert of_list(count, limit, **given) == Width(expected)  # type: ignore[arg-type]


def test_seats_of_writes() -> None:
    assert of_write(9, 10) == ONE
    assert of_write(20, 10) == Width(1, 2, 0.005)
    assert of_write(1000, 10) == Width(1, 10, 0.05)
