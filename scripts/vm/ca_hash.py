"""Prints the hash of a cluster's authority, vouched for by a token: what `nanokube join --ca-hash` takes.

    ca_hash.py https://SERVER:6443 TOKEN

For machines that were given a token beforehand, when no authority was there yet. Whoever has the token could
vouch for another authority: kubeadm calls this discovery by token; `token create` adds the hash.
"""

import base64
import http.client
import json
import socket
import ssl
import sys
import urllib.parse
from typing import Any

import yaml

from nanokube.api import bootstrap_tokens as tokens
from nanokube.kit import pki
from nanokube.roles import discovery

_UNKNOWN = "sha256:" + "0" * 64
TIMEOUT_S = 20.0


def fetch(server: str) -> dict[str, Any]:
    """Read cluster-info over TLS that nothing vouches for. Raises OSError, ValueError."""
    parsed = urllib.parse.urlsplit(server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        str(parsed.hostname), parsed.port or discovery.DEFAULT_PORT, timeout=TIMEOUT_S, context=context
    )
    connection.request("GET", discovery.INFO_PATH)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != http.client.OK:
        raise ValueError(f"{server} does not tell what cluster it is of ({answer.status})")
    found: dict[str, Any] = json.loads(body)
    return found


def vouched(info: dict[str, Any], server: str, token: str) -> str:
    """Return the hash of the authority in cluster-info. Raises JoinError unless the token signed it. Pure."""
    try:
        content = yaml.safe_load(info["data"][tokens.KUBECONFIG_KEY])
        authority = base64.b64decode(content["clusters"][0]["cluster"]["certificate-authority-data"])
        found = pki.public_key_hash(authority)
    except (yaml.YAMLError, ValueError, TypeError, LookupError):
        found = _UNKNOWN
    discovery.recognize(info, discovery.invitation(server, token, found))
    return found


def main(server: str, token: str) -> int:
    """Print the hash, or in one line why there is none."""
    try:
        print(vouched(fetch(server), server, token))
    except discovery.JoinError as err:
        print(err, file=sys.stderr)
    except (socket.gaierror, OSError, http.client.HTTPException, ValueError) as err:
        print(f"no answer from {server}: {err}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
