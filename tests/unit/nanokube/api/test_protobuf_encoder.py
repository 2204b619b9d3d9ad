"""What is encoded decodes to itself; the envelope and the frames are as client-go reads them."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from nanokube.api import protobuf, protobuf_encoder
from nanokube.api import resources as table

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"a": "b", "empty": ""},
        "managedFields": [{"manager": "m", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
    },
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "volumes": [
            {"name": "e", "emptyDir": {}},
            {"name": "m", "emptyDir": {"sizeLimit": "1Mi"}},
        ],
        "containers": [
            {
                "name": "c",
                "resources": {"limits": {"cpu": "100m"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 3},
                "readinessProbe": {"tcpSocket": {"port": 80}},
                "securityContext": {"runAsUser": -1, "privileged": False},
            }
        ],
        "securityContext": {"supplementalGroups": [1, 70000]},
    },
    "status": {"phase": "Running"},
}
OTHERS: tuple[dict[str, Any], ...] = (
    POD,
    {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"k": "AP8="}, "type": "Opaque"},
    {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l"},
        "spec": {"renewTime": "1969-12-31T23:59:59.250000Z", "leaseDurationSeconds": 15},
    },
    {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {},
        "spec": {},
        "status": {"user": {"extra": {"e": ["1", "2"]}}},
    },
    {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {},
        "data": {"spec": {"x": [1, None]}},
        "revision": 3,
    },
    {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 410},
)


@pytest.mark.parametrize("obj", OTHERS, ids=lambda obj: str(obj["kind"]))
def test_what_is_encoded_decodes_to_itself(obj: dict[str, Any]) -> None:
    assert protobuf.decode(protobuf_encoder.encode(obj)) == obj


def test_a_list_holds_its_items() -> None:
    inner = {key: value for key, value in POD.items() if key not in ("apiVersion", "kind")}
    found = {
        "apiVersion": "v1",
        "kind": "PodList",
        "metadata": {"remainingItemCount": 0},
        "items": [inner, inner],
    }
    assert protobuf.decode(protobuf_encoder.encode(found)) == found


def test_every_stored_kind_has_a_message() -> None:
    for resource in table.ALL:
        metadata = {"name": "n"}
        made = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        assert protobuf.decode(protobuf_encoder.encode(made)) == made


def test_a_kind_without_a_message_is_refused() -> None:
    with pytest.raises(KeyError):
        protobuf_encoder.encode({"apiVersion": "meta.k8s.io/v1", "kind": "Table"})


def test_a_frame_is_length_type_and_envelope() -> None:
    frame = protobuf_encoder.frame("ADDED", OTHERS[1])
    assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
    assert frame[4:11] == b"\x0a\x05ADDED"
    assert frame.count(protobuf.MAGIC) == 1
    assert protobuf.decode(frame[frame.index(protobuf.MAGIC) :]) == OTHERS[1]


@pytest.mark.parametrize(
    ("text", "nanos"), [("1h2m3.5s", 3723500000000), ("-20ms", -20000000), ("0s", 0), ("1µs", 1000)]
)
def test_durations_are_nanoseconds(text: str, nanos: int) -> None:
    data = protobuf_encoder._duration(text)
    ((number, _, value),) = protobuf._fields(data, 0)
    assert (number, protobuf._signed(value)) == (1, nanos)


def test_raw_json_is_spelled_the_same_whatever_the_order_of_its_keys() -> None:
    owned: dict[str, object] = {"f:status": {}, "f:metadata": {"f:labels": {}, ".": {}}}
    entry = {"manager": "m", "fieldsV1": owned}
    encoded = protobuf_encoder.encode({**POD, "metadata": {"name": "p", "managedFields": [entry]}})
    assert b'{"f:metadata":{".":{},"f:labels":{}},"f:status":{}}' in encoded
