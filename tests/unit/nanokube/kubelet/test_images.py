import base64
import json

import pytest

from nanokube.kubelet import images


@pytest.mark.parametrize(
    ("reference", "valid"),
    [
        ("busybox", True),
        ("registry.example:5000/a/b:1.2", True),
        ("a@sha256:" + "0" * 64, True),
        ("INVALID NAME", False),
        ("", False),
        ("a:b:c", False),
        ("0" * 64, False),
    ],
)
def test_references(reference: str, valid: bool) -> None:
    assert images.is_valid(reference) is valid


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("a/b:1", ""),
        ("Registry.example/a", ""),
        ("BAD::img", "invalid reference format: repository name (BAD) must be lowercase"),
        ("h.example/a/B:1", "invalid reference format: repository name (a/B) must be lowercase"),
        ("a::1", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("f" * 64, f"invalid repository name ({'f' * 64}), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_what_is_no_name_of_an_image_is_told_as_upstream_does(reference: str, fault: str) -> None:
    assert images.naming_fault(reference) == fault


@pytest.mark.parametrize(
    ("reference", "policy"),
    [("a", "Always"), ("a:latest", "Always"), ("a:1", "IfNotPresent"), ("h:5000/a", "Always")],
)
def test_default_policy(reference: str, policy: str) -> None:
    assert images.default_policy(reference) == policy


def test_credentials_go_to_their_registry_only() -> None:
    auth = base64.b64encode(b"me:secret").decode()
    config = json.dumps({"auths": {"https://registry.example/v1/": {"auth": auth}}}).encode()
    secret = {"data": {".dockerconfigjson": base64.b64encode(config).decode()}}
    found = images.credentials(secret, "registry.example/a:1")
    assert [(a.username, a.password) for a in found] == [("me", "secret")]
    assert images.credentials(secret, "elsewhere.example/a:1") == []
