import base64

import pytest

from nanokube.api import errors
from nanokube.apiserver.endpoints import continue_token


def token_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("start", ["d/m1\0", "m1\0", "d/é"])
def test_what_is_encoded_is_decoded(start: str) -> None:
    assert continue_token.decode(continue_token.encode(5, start)) == (5, start)


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        ("x", ": illegal base64 data at input byte 0"),
        ("ab=d", ": illegal base64 data at input byte 2"),
        (token_of("{}"), ": server does not recognize this encoded version "),
        (token_of('{"v":"x","rv":1,"start":"a"}'), ": server does not recognize this encoded version x"),
        (
            token_of('{"v":"meta.k8s.io/v1","start":"a"}'),
            ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            token_of('{"v":"meta.k8s.io/v1","rv":1}'),
            ": encoded start key empty (version meta.k8s.io/v1)",
        ),
        (token_of('{"v":"meta.k8s.io/v1","rv":1,"start":"../a"}'), ": ../a"),
        (token_of("hello"), ": invalid character 'h' looking for beginning of value"),
    ],
)
def test_refusals_are_in_upstreams_words(token: str, cause: str) -> None:
    with pytest.raises(errors.ApiError) as refused:
        continue_token.decode(token)
    said = f"invalid continue token: continue key is not valid{cause}"
    assert (refused.value.code, refused.value.message) == (400, said)
