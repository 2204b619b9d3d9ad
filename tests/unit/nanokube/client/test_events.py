"""The event recorder counts, gathers, refuses floods and never waits."""

import pytest

from nanokube.api import resources
from nanokube.client import correlation, events, fake
from nanokube.kit import clock, virtual_time

EVENTS = resources.get("events")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u"}}


def happening(message: str, at_s: float = 0.0, reason: str = "R") -> correlation.Happening:
    return correlation.Happening({"kind": "Pod", "name": "p"}, "Normal", reason, message, at_s)


def test_like_events_become_one_with_a_count() -> None:
    async def scenario() -> None:
        client, time = fake.FakeClient(), clock.ManualClock()
        recorder = events.EventRecorder(client, "test", host="h", time=time)
        recorder.event(POD, "Normal", "Pulled", "got it")
        await recorder.flush()
        time.advance(60)
        recorder.event(POD, "Normal", "Pulled", "got it")
        await recorder.flush()
        (written,) = client.all(EVENTS)
        assert written["count"] == 2
        assert written["involvedObject"] == {
            "apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": "ns", "uid": "u",
        }  # fmt: skip
        assert written["source"] == {"component": "test", "host": "h"}
        assert written["firstTimestamp"] < written["lastTimestamp"]

    virtual_time.run(scenario())


def test_expired_event_is_begun_again() -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        recorder = events.EventRecorder(client, "test", time=clock.ManualClock())
        recorder.event(POD, "Normal", "Pulled", "got it")
        await recorder.flush()
        client.remove(EVENTS, f"ns/{client.all(EVENTS)[0]['metadata']['name']}")
        recorder.event(POD, "Normal", "Pulled", "got it")
        await recorder.flush()
        assert len(client.all(EVENTS)) == 1

    virtual_time.run(scenario())


def test_full_queue_drops() -> None:
    async def scenario() -> None:
        recorder = events.EventRecorder(fake.FakeClient(), "test")
        for number in range(events.QUEUE_SIZE + 5):
            recorder.event(POD, "Normal", "R", str(number))
        assert recorder.dropped == 5

    virtual_time.run(scenario())


def test_flood_about_one_object_is_refused_until_tokens_return() -> None:
    correlator = correlation.Correlator()
    taken = [correlator.take(happening("same")) for _ in range(30)]
    assert sum(series is not None for series in taken) == correlation.SPAM_BURST
    assert correlator.take(happening("same", at_s=correlation.SPAM_REFILL_S)) is not None


def test_many_messages_of_one_reason_are_combined() -> None:
    correlator = correlation.Correlator()
    messages = []
    for number in range(12):
        series = correlator.take(happening(f"m{number}"))
        assert series is not None
        messages.append((series.message, series.count))
    assert messages[8] == ("m8", 1)
    assert messages[9:] == [
        (f"(combined from similar events): m{number}", number - 8) for number in (9, 10, 11)
    ]


@pytest.mark.parametrize("field_path", ["", "spec.containers{web}"])
def test_reference_names_the_object(field_path: str) -> None:
    reference = events.reference_to(POD, field_path=field_path)
    assert reference.get("fieldPath", "") == field_path
    assert events.reference_to(reference) == reference
