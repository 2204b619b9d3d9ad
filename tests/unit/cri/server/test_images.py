"""Images and credentials in CRI's messages."""

import base64

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.images.image import Auth, Image
from cri.server import image_messages


@pytest.mark.parametrize(
    ("user", "uid", "name"),
    [
        ("1002", 1002, ""),
        ("www-data", None, "www-data"),
        ("1003:users", 1003, ""),
        ("www-data:100", None, "www-data"),
        ("", None, ""),
        ("²", None, "²"),
    ],
)
def test_an_images_user_is_a_number_or_a_name(user: str, uid: int | None, name: str) -> None:
    shown = image_messages.message(Image("sha256:1", ("a:1",), (), 9, {"config": {"User": user}}, ()))
    assert (shown.uid.value if shown.HasField("uid") else None, shown.username) == (uid, name)
    assert (shown.id, list(shown.repo_tags), shown.size) == ("sha256:1", ["a:1"], 9)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("config", "reference", "expected"),
    [
        (pb.AuthConfig(), "busybox", None),
        (pb.AuthConfig(username="u", password="p"), "busybox", Auth("u", "p")),
        (pb.AuthConfig(auth=encoded("u:p:q")), "busybox", Auth("u", "p:q")),
        (pb.AuthConfig(registry_token="t"), "busybox", Auth(registry_token="t")),
        (pb.AuthConfig(username="u", server_address="https://index.docker.io/v1/"), "busybox", Auth("u")),
        (pb.AuthConfig(username="u", server_address="quay.io"), "busybox", None),
        (pb.AuthConfig(username="u", server_address="quay.io"), "quay.io/a/b", Auth("u")),
    ],
)
def test_credentials_go_to_their_registry_only(
    config: pb.AuthConfig, reference: str, expected: Auth | None
) -> None:
    assert image_messages.auth(config, reference) == expected


@pytest.mark.parametrize("auth", ["%%%", base64.b64encode(b"nocolon").decode()])
def test_credentials_that_cannot_be_read_are_refused_and_not_shown(auth: str) -> None:
    with pytest.raises(faults.RuntimeFault) as caught:
        image_messages.auth(pb.AuthConfig(auth=auth), "busybox")
    assert auth not in str(caught.value)
