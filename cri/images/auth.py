"""How registries ask for credentials and patience: challenges, token requests, Retry-After. Pure.

Source: RFC 9110 11.6.1; distribution docs/content/spec/auth/token.md and oauth.md.
"""

import base64
import dataclasses
import datetime
import email.utils
import json
import re
import urllib.parse
from collections.abc import Mapping

from cri.images import errors
from cri.images.image import Auth

_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    scheme: str  # lower case
    parameters: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class TokenRequest:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


def parse_challenge(header: str) -> Challenge:
    """Read one WWW-Authenticate value: `Bearer realm="…",service="…",scope="…"`."""
    scheme, _, rest = header.strip().partition(" ")
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), parameters)


def retry_after_s(header: str | None, now: datetime.datetime) -> float:
    """Read Retry-After, seconds or a date; 0 when there is none. Source: RFC 9110 10.2.3."""
    if not header:
        return 0.0
    if header.strip().isdigit():
        return float(header)
    try:
        then = email.utils.parsedate_to_datetime(header)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def basic(auth: Auth) -> str:
    return "Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()


def token_request(challenge: Challenge, scope: str, auth: Auth | None, *, may_be_plain: bool) -> TokenRequest:
    """Build the request for a bearer token, anonymous without credentials.

    scope: asked for when the challenge names none; a mirror's repository may have another name.
    may_be_plain: the registry itself is spoken to over HTTP; else a token server must have HTTPS.
    """
    realm = challenge.parameters.get("realm", "")
    if not realm.startswith("https://") and not (may_be_plain and realm.startswith("http://")):
        raise errors.ImageError(
            errors.Kind.UNAUTHENTICATED, f"cannot get token: unsafe realm {realm[:200]!r}"
        )
    fields = {
        "service": challenge.parameters.get("service", ""),
        "scope": challenge.parameters.get("scope", "") or scope,
    }
    if auth is not None and auth.identity_token:
        form = {
            **fields,
            "grant_type": "refresh_token",
            "refresh_token": auth.identity_token,
            "client_id": "nanokube",
        }
        body = urllib.parse.urlencode(form).encode()
        return TokenRequest("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body)
    query = urllib.parse.urlencode({name: value for name, value in fields.items() if value})
    headers = {"Authorization": basic(auth)} if auth is not None and auth.username else {}
    return TokenRequest("GET", realm + ("&" if "?" in realm else "?") + query, headers)


def read_token(body: bytes) -> str:
    """Return the token of a token server's answer."""
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer["access_token"]
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise ValueError("not a token")
    except (ValueError, KeyError, AttributeError) as err:
        raise errors.ImageError(errors.Kind.UNAUTHENTICATED, "cannot get token: no token in answer") from err
    return token
