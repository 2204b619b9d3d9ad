"""EncryptionConfiguration: what is taken, what is refused and how that is said."""

import base64
import json
from typing import Any

import pytest

from nanokube.storage.encryption import configuration
from nanokube.storage.encryption.configuration import Identity, Key, Kms, Local

KEY = base64.b64encode(bytes(32)).decode()
AESGCM = {"aesgcm": {"keys": [{"name": "k1", "secret": KEY}]}}


def text(*rules: dict[str, Any], **changes: Any) -> bytes:
    document = {"apiVersion": configuration.API_VERSION, "kind": configuration.KIND, "resources": rules}
    return json.dumps({**document, **changes}).encode()


def rule(*resources: str, providers: list[Any] | None = None) -> dict[str, Any]:
    return {"resources": resources, "providers": [AESGCM] if providers is None else providers}


def test_all_providers_are_read_in_their_order() -> None:
    secretbox = {"secretbox": {"keys": [{"name": "s", "secret": KEY}]}}
    kms = {"kms": {"apiVersion": "v2", "name": "vault", "endpoint": "unix:///k.sock", "timeout": "1m1.5s"}}
    found = configuration.parse(text(rule("secrets", providers=[kms, AESGCM, secretbox, {"identity": {}}])))
    assert found.providers("", "secrets") == (
        Kms("vault", "unix:///k.sock", 61.5),
        Local("aesgcm", (Key("k1", bytes(32)),)),
        Local("secretbox", (Key("s", bytes(32)),)),
        Identity(),
    )


def test_the_most_special_entry_counts() -> None:
    def named(name: str) -> list[Any]:
        return [{"aesgcm": {"keys": [{"name": name, "secret": KEY}]}}]

    found = configuration.parse(
        text(
            rule("secrets", "*.apps", providers=[{"identity": {}}]),
            rule("*.", providers=named("core")),
            rule("*.*", providers=named("all")),
        )
    )

    def first(group: str, resource: str) -> object:
        return found.providers(group, resource)[0]

    assert first("", "secrets") == first("apps", "deployments") == Identity()
    assert first("", "configmaps") == Local("aesgcm", (Key("core", bytes(32)),))
    assert first("example.com", "foos") == Local("aesgcm", (Key("all", bytes(32)),))


def test_a_resource_of_two_entries_has_the_providers_of_both() -> None:
    found = configuration.parse(text(rule("secrets"), rule("secrets", providers=[{"identity": {}}])))
    assert [type(each) for each in found.providers("", "secrets")] == [Local, Identity]


def _with_key(kind: str, **key: Any) -> bytes:
    return text(rule("secrets", providers=[{kind: {"keys": [key]}}]))


def _with_kms(**fields: Any) -> bytes:
    given = {"apiVersion": "v2", "name": "n", "endpoint": "unix:///s", **fields}
    return text(rule("secrets", providers=[{"kms": given}]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"[", "no YAML"),
        (b"a", "no mapping"),
        (text(rule("secrets"), kind="Pod"), "apiVersion and kind"),
        (text(rule("secrets"), other=1), "other: there is no such field"),
        (text(), "resources: at least one"),
        (text(rule()), "resources.0..resources: at least one"),
        (text(rule("secrets", providers=[])), "resources.0..providers: at least one"),
        (text(rule("secrets", "secrets")), "named twice"),
        (text(rule("secrets", "*.*")), "overlaps"),
        (text(rule("deployments.apps", "*.apps")), "overlaps"),
        (text(rule("Secrets")), "lower case"),
        (text(rule("*")), "no resource"),
        (text(rule("serviceipallocations")), "no resource of the API"),
        (text(rule("events.events.k8s.io")), "say events"),
        (text(rule("ingresses.extensions")), "extensions"),
        (text(rule("secrets.*")), "all groups"),
        (text(rule("secrets", providers=[{}])), "exactly one"),
        (text(rule("secrets", providers=[{**AESGCM, "identity": {}}])), "exactly one"),
        (text(rule("secrets", providers=[{"aesgcm": {"keys": []}}])), "keys: at least one"),
        (_with_key("aesgcm", secret=KEY), "name: it is required"),
        (_with_key("aesgcm", name="a:b", secret=KEY), "colon"),
        (_with_key("aesgcm", name="a"), "secret: it is required"),
        (_with_key("aesgcm", name="a", secret="%"), "not base64"),
        (_with_key("aescbc", name="a", secret="AAAA"), "has 3 bytes"),
        (_with_key("secretbox", name="a", secret=base64.b64encode(bytes(16)).decode()), "takes 32"),
        (_with_kms(apiVersion="v1"), "v2 is what is spoken"),
        (_with_kms(name="a:b"), "without a colon"),
        (_with_kms(endpoint="https://x"), "socket"),
        (_with_kms(timeout="0s"), "above zero"),
        (_with_kms(timeout="soon"), "no duration"),
        (_with_kms(cachesize=3), "cachesize"),
    ],
)
def test_what_is_wrong_is_named(given: bytes, message: str) -> None:
    with pytest.raises(configuration.ConfigurationError, match=message) as caught:
        configuration.parse(given)
    assert KEY not in str(caught.value)


def test_keys_are_not_shown() -> None:
    assert "secret=" not in repr(configuration.parse(text(rule("secrets"))))
