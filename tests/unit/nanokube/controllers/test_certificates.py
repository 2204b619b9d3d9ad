"""Certificate requests: who gets one, what is in it, how long the request stays."""

import asyncio
import base64
import dataclasses
import datetime
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nanokube.api import objects
from nanokube.controllers import certificate_rules as rules
from nanokube.controllers import certificates
from nanokube.controllers.env import Controller, Env, Options
from nanokube.kit import pki, virtual_time
from tests.unit.nanokube.controllers.stage import Stage

EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
AUTHORITY = pki.Authority.create("ca", EPOCH)
KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT = ["digital signature", "client auth"]
NODE = "system:node:n1"


def request(name: str = "me", group: str = "", names: tuple[x509.GeneralName, ...] = ()) -> bytes:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def csr(pem: bytes, signer: str, usages: list[str], *conditions: str, **spec: Any) -> dict[str, Any]:
    listed = [
        {"type": kind, "status": "True", "lastUpdateTime": "1970-01-01T00:00:00Z"} for kind in conditions
    ]
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "c", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": signer,
            "usages": usages,
            **spec,
        },
        "status": {"conditions": listed},
    }


class Reviewing(Stage):
    """A stage whose server answers access reviews."""

    def __init__(self, *allowed: str) -> None:
        def make(env: Env) -> Controller:
            options = Options(authority=AUTHORITY)
            return certificates.CertificatesController(dataclasses.replace(env, options=options))

        super().__init__(make)
        self.asked: list[str] = []
        create = self.client.create

        async def reviewing(resource: Any, obj: Any, *args: Any, **options: Any) -> dict[str, Any]:
            if resource.kind != "SubjectAccessReview":
                return await create(resource, obj, *args, **options)
            self.asked.append(obj["spec"]["resourceAttributes"]["subresource"])
            return {**obj, "status": {"allowed": self.asked[-1] in allowed}}

        self.client.create = reviewing  # type: ignore[method-assign]

    def found(self) -> dict[str, Any]:
        return self.client.all(certificates.REQUESTS)[0]


def after(stage: Stage, obj: dict[str, Any], seconds: float = 1) -> None:
    """Show a request to the controller and let time pass."""

    async def story() -> None:
        async with stage.running():
            stage.client.put(obj)
            await asyncio.sleep(seconds)

    virtual_time.run(story())


def test_an_approved_request_is_signed_as_it_asks() -> None:
    stage = Reviewing()
    names = (x509.DNSName("a.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1")))
    pem = request("me", "devs", names)
    after(stage, csr(pem, rules.API_CLIENT, CLIENT, "Approved", expirationSeconds=3600))
    made = x509.load_pem_x509_certificate(base64.b64decode(objects.status(stage.found())["certificate"]))
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(AUTHORITY.pair.certificate))
    assert made.subject == x509.load_pem_x509_csr(pem).subject
    assert made.public_key() == KEY.public_key()
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert list(made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == list(names)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert 3590 <= (made.not_valid_after_utc - EPOCH).total_seconds() <= 3610


@pytest.mark.parametrize(
    ("signer", "usages", "conditions", "outcome"),
    [
        (rules.API_CLIENT, CLIENT, (), "nothing"),
        (rules.API_CLIENT, CLIENT, ("Denied",), "nothing"),
        (rules.API_CLIENT, CLIENT, ("Approved", "Denied"), "nothing"),
        (rules.API_CLIENT, CLIENT, ("Approved", "Failed"), "nothing"),
        ("example.com/own", CLIENT, ("Approved",), "nothing"),
        (rules.LEGACY, ["any"], ("Approved",), "signed"),
        (rules.API_CLIENT, [*CLIENT, "server auth"], ("Approved",), "failed"),
        (rules.API_CLIENT, ["digital signature"], ("Approved",), "failed"),
    ],
)
def test_only_what_is_approved_and_in_order_is_signed(
    signer: str, usages: list[str], conditions: tuple[str, ...], outcome: str
) -> None:
    stage = Reviewing()
    after(stage, csr(request(), signer, usages, *conditions))
    status = objects.status(stage.found())
    added = [each["type"] for each in status["conditions"]][len(conditions) :]
    is_signed = "certificate" in status
    assert {"nothing": (False, []), "signed": (True, []), "failed": (False, ["Failed"])}[outcome] == (
        is_signed,
        added,
    )


@pytest.mark.parametrize(
    ("username", "allowed", "asked", "is_approved"),
    [
        (NODE, ("selfnodeclient",), ["selfnodeclient"], True),
        (NODE, ("nodeclient",), ["selfnodeclient", "nodeclient"], True),
        ("bootstrapper", ("selfnodeclient",), ["nodeclient"], False),
        ("bootstrapper", ("nodeclient",), ["nodeclient"], True),
    ],
)
def test_kubelets_are_approved_who_may_ask(
    username: str, allowed: tuple[str, ...], asked: list[str], is_approved: bool
) -> None:
    stage = Reviewing(*allowed)
    pem = request(NODE, rules.NODES)
    after(stage, csr(pem, rules.KUBELET_CLIENT, CLIENT, username=username))
    assert stage.asked == asked
    status = objects.status(stage.found())
    assert ([c["reason"] for c in status["conditions"]] == ["AutoApproved"]) is is_approved
    assert ("certificate" in status) is is_approved


@pytest.mark.parametrize(
    ("signer", "pem", "usages", "cause"),
    [
        (rules.KUBELET_CLIENT, request(NODE, rules.NODES), CLIENT, ""),
        (rules.KUBELET_CLIENT, request(NODE, "devs"), CLIENT, "subject organization"),
        (rules.KUBELET_CLIENT, request("n1", rules.NODES), CLIENT, "common name"),
        (rules.KUBELET_CLIENT, request(NODE, rules.NODES), ["client auth"], "usages did not match"),
        (
            rules.KUBELET_CLIENT,
            request(NODE, rules.NODES, (x509.DNSName("a"),)),
            CLIENT,
            "DNS subjectAltNames are not allowed",
        ),
        (
            rules.KUBELET_SERVING,
            request(NODE, rules.NODES, (x509.DNSName("a"),)),
            ["key encipherment", "digital signature", "server auth"],
            "",
        ),
        (rules.KUBELET_SERVING, request(NODE, rules.NODES), ["digital signature", "server auth"], "required"),
        (
            rules.KUBELET_SERVING,
            request(NODE, rules.NODES, (x509.DNSName("a"), x509.RFC822Name("a@b"))),
            ["digital signature", "server auth"],
            "Email subjectAltNames are not allowed",
        ),
    ],
)
def test_what_signers_refuse(signer: str, pem: bytes, usages: list[str], cause: str) -> None:
    found = rules.refusal(signer, x509.load_pem_x509_csr(pem), usages)
    assert cause in found
    assert bool(found) is bool(cause)


@pytest.mark.parametrize(
    ("conditions", "certificate", "kept_s"),
    [
        ((), "", 24 * 3600),
        (("Approved",), "", 24 * 3600),
        (("Approved",), "x", 3600),
        (("Denied",), "", 3600),
        (("Approved", "Failed"), "", 3600),
    ],
)
def test_requests_go_when_they_are_old(conditions: tuple[str, ...], certificate: str, kept_s: float) -> None:
    made = csr(request(), "example.com/own", CLIENT, *conditions)
    if certificate:
        made["status"]["certificate"] = certificate
    assert rules.kept_for_s(made, 10.0) == kept_s - 10


@pytest.mark.parametrize(("seconds", "left"), [(3590, 1), (3602, 0)])
def test_an_old_request_is_deleted(seconds: float, left: int) -> None:
    stage = Reviewing()
    after(stage, csr(request(), "example.com/own", CLIENT, "Denied"), seconds)
    assert len(stage.client.all(certificates.REQUESTS)) == left


@pytest.mark.parametrize(("wanted", "given"), [(None, 31536000), (1, 600), (7200, 7200), (10**9, 31536000)])
def test_lifetimes_are_bounded(wanted: int | None, given: int) -> None:
    spec = {} if wanted is None else {"expirationSeconds": wanted}
    assert rules.lifetime_s(csr(request(), rules.API_CLIENT, CLIENT, **spec)) == given


def test_a_request_that_its_key_did_not_sign_and_unknown_usages_are_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(request()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    lifetime = datetime.timedelta(hours=1)
    try:
        forged = x509.load_der_x509_csr(bytes(der))
    except ValueError:
        pytest.skip("the changed byte broke the encoding")
    with pytest.raises(ValueError, match="not signed"):
        AUTHORITY.sign(forged, CLIENT, lifetime, EPOCH)
    with pytest.raises(ValueError, match="unknown usage"):
        AUTHORITY.sign(x509.load_pem_x509_csr(request()), ["fly"], lifetime, EPOCH)


SERVING = ["digital signature", "server auth"]


def node(name: str, *addresses: str) -> dict[str, Any]:
    listed = [{"type": "InternalIP", "address": each} for each in addresses]
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}, "status": {"addresses": listed}}


@pytest.mark.parametrize(
    ("names", "spec", "others", "cause"),
    [
        (["n1", "192.0.2.1"], {}, [], ""),
        (["n1", "192.0.2.2"], {}, [], "not addresses of Node n1: 192.0.2.2"),
        (["n2", "192.0.2.1"], {}, [], "not addresses of Node n1: n2"),
        (["192.0.2.1"], {}, [node("n2", "192.0.2.1")], "Node n2 has them: 192.0.2.1"),
        (["192.0.2.1"], {"username": "system:node:n2"}, [], "a kubelet may ask for itself only"),
        (["192.0.2.1"], {"groups": ["devs"]}, [], "a kubelet may ask for itself only"),
        (["192.0.2.1"], {"usages": CLIENT}, [], "usages did not match"),
    ],
)
def test_a_serving_certificate_is_approved_for_the_addresses_of_its_node_alone(
    names: list[str], spec: dict[str, Any], others: list[dict[str, Any]], cause: str
) -> None:
    wanted = tuple(
        x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each)
        for each in names
    )
    pem = request(NODE, "system:nodes", wanted)
    asker = {"username": NODE, "groups": ["system:nodes"], **spec}
    usages = asker.pop("usages", SERVING)
    asked = csr(pem, rules.KUBELET_SERVING, list(usages), **asker)
    found = rules.serving_refusal(asked, [node("n1", "192.0.2.1"), *others])
    assert found.startswith(cause) if cause else found == ""


def test_a_serving_certificate_waits_for_its_node() -> None:
    stage = Reviewing()
    pem = request(NODE, "system:nodes", (x509.IPAddress(ipaddress.ip_address("192.0.2.1")),))

    async def story() -> None:
        async with stage.running():
            asked = csr(pem, rules.KUBELET_SERVING, SERVING, username=NODE, groups=["system:nodes"])
            stage.client.put(asked)
            await asyncio.sleep(1)
            assert not objects.conditions(stage.found())
            stage.client.put(node("n1", "192.0.2.1"))
            await asyncio.sleep(1)
            assert objects.status(stage.found())["certificate"]

    virtual_time.run(story())
