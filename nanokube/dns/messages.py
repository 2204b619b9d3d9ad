"""DNS messages: questions in, answers out. Pure.

Source: RFC 1035, RFC 2308 (negative answers), RFC 6891 (EDNS0).
"""

import dataclasses

from dnslib import (
    AAAA,
    CNAME,
    PTR,
    QTYPE,
    RCODE,
    RD,
    RR,
    SOA,
    SRV,
    TXT,
    A,
    DNSBuffer,
    DNSError,
    DNSHeader,
    DNSRecord,
)

from nanokube.dns import zone

TTL_S = 5  # short: an endpoint that went away must not be asked for long
NEGATIVE_TTL_S = 5
PLAIN_UDP_BYTES = 512
LARGEST_UDP_BYTES = 1232  # fits every path unfragmented (DNS flag day 2020)


class MessageError(ValueError):
    """Bytes that are no DNS question; nothing can be answered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """A parsed query with one question."""

    name: str
    type: str
    message: DNSRecord
    wire: bytes

    @property
    def udp_limit(self) -> int:
        """Return how many bytes an answer over UDP may have."""
        for record in self.message.ar:
            if record.rtype == QTYPE.OPT:
                return max(PLAIN_UDP_BYTES, min(int(record.rclass), LARGEST_UDP_BYTES))
        return PLAIN_UDP_BYTES


def parse(wire: bytes) -> Question:
    """Read a query. Raises MessageError for anything else."""
    try:
        message = DNSRecord.parse(wire)
    except (DNSError, ValueError, IndexError) as err:
        raise MessageError(f"cannot parse DNS message of {len(wire)} bytes: {err}") from err
    if message.header.qr or len(message.questions) != 1:
        raise MessageError("cannot answer: not a query with one question")
    question = message.questions[0]
    return Question(str(question.qname).rstrip("."), str(QTYPE.get(question.qtype, "TYPE")), message, wire)


def respond(question: Question, answer: zone.Answer, domain: str) -> bytes:
    """Write the answer of our zone; the authority section names it where there is no record (RFC 2308)."""
    reply = question.message.reply(aa=1, ra=1)
    if answer.outcome is zone.Outcome.NO_NAME:
        reply.header.rcode = RCODE.NXDOMAIN
    # Resolvers that vary the case of a name expect it back as they sent it.
    asked = {question.name.lower(): question.name}
    for record in answer.records:
        reply.add_answer(_encode(record, asked))
    for record in answer.additional:
        reply.add_ar(_encode(record, asked))
    if not answer.records:
        times = (1, 7200, 1800, 86400, NEGATIVE_TTL_S)
        soa = SOA(f"ns.dns.{domain}", f"hostmaster.{domain}", times)
        reply.add_auth(RR(domain, QTYPE.SOA, ttl=NEGATIVE_TTL_S, rdata=soa))
    return bytes(reply.pack())


def fail(question: Question, rcode: str) -> bytes:
    """Write an answer that says only how the question failed, as in `SERVFAIL`, `REFUSED`."""
    reply = question.message.reply(aa=0, ra=1)
    reply.header.rcode = getattr(RCODE, rcode)
    return bytes(reply.pack())


def truncate(question: Question, response: bytes) -> bytes:
    """Return response if it fits an answer over UDP, else an empty one that tells the client to use TCP."""
    if len(response) <= question.udp_limit:
        return response
    header = DNSHeader.parse(DNSBuffer(response))
    reply = question.message.reply(aa=header.aa, ra=1)
    reply.header.tc = 1
    return bytes(reply.pack())


def _encode(record: zone.Record, asked: dict[str, str]) -> RR:
    name = asked.get(record.name, record.name)
    return RR(name, getattr(QTYPE, record.type), ttl=TTL_S, rdata=_rdata(record))


def _rdata(record: zone.Record) -> RD:
    value = record.value
    if isinstance(value, tuple):
        port, target = value
        return SRV(zone.SRV_PRIORITY, zone.SRV_WEIGHT, port, target)
    encoders = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "PTR": PTR, "TXT": TXT}
    return encoders[record.type](value)
