"""Questions in, answers out, and nothing but MessageError for other bytes."""

import contextlib

import pytest
from dnslib import QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from nanokube.dns import forward, messages, zone


def question(name: str = "web.shop.svc.cluster.local", type_: str = "A") -> messages.Question:
    return messages.parse(bytes(DNSRecord.question(name, type_).pack()))


def test_the_case_of_the_question_comes_back() -> None:
    record = zone.Record("web.shop.svc.cluster.local", "A", "10.96.0.20")
    answer = zone.Answer(zone.Outcome.FOUND, (record,))
    reply = DNSRecord.parse(messages.respond(question("wEb.shop.svc.cluster.local"), answer, "cluster.local"))
    assert str(reply.rr[0].rname) == "wEb.shop.svc.cluster.local."
    assert str(reply.rr[0].rdata) == "10.96.0.20"
    assert reply.header.aa


def test_a_missing_name_is_nxdomain_with_the_zone_in_authority() -> None:
    reply = DNSRecord.parse(messages.respond(question(), zone.NO_NAME, "cluster.local"))
    assert reply.header.rcode == RCODE.NXDOMAIN
    assert [record.rtype for record in reply.auth] == [QTYPE.SOA]


def test_a_missing_type_is_an_empty_answer() -> None:
    reply = DNSRecord.parse(messages.respond(question(type_="AAAA"), zone.EMPTY, "cluster.local"))
    assert (reply.header.rcode, len(reply.rr), len(reply.auth)) == (RCODE.NOERROR, 0, 1)


def test_an_answer_too_long_for_udp_asks_for_tcp() -> None:
    records = tuple(zone.Record("db.shop.svc.cluster.local", "A", f"10.244.0.{i}") for i in range(100))
    asked = question("db.shop.svc.cluster.local")
    whole = messages.respond(asked, zone.Answer(zone.Outcome.FOUND, records), "cluster.local")
    cut = DNSRecord.parse(messages.truncate(asked, whole))
    assert cut.header.tc
    assert len(cut.rr) == 0


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(wire: bytes) -> None:
    with contextlib.suppress(messages.MessageError):
        messages.parse(wire)


def test_answers_are_no_questions() -> None:
    reply = DNSRecord(DNSHeader(qr=1), q=DNSQuestion("a.b"))
    with pytest.raises(messages.MessageError):
        messages.parse(bytes(reply.pack()))


def test_upstreams_leave_out_our_own_address() -> None:
    text = "search lan\nnameserver 10.96.0.10\nnameserver 192.0.2.53\nnameserver nonsense\n#\n"
    assert forward.upstreams(text, ["10.96.0.10"]) == ["192.0.2.53"]
