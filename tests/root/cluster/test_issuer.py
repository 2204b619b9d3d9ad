"""Tokens of ServiceAccounts are verified from outside, by what the cluster tells about its issuer."""

import json
from typing import Any

import jwt
import pytest

from tests.root.cluster import host

pytestmark = pytest.mark.root

DISCOVERY = "/.well-known/openid-configuration"
ROLE = "system:service-account-issuer-discovery"
CA = "/etc/nanokube/pki/ca.crt"


def ask(of: host.Host, url: str, token: str = "") -> tuple[int, Any]:
    """Ask as somebody outside does, who has the cluster's CA alone; returns code and document."""
    bearer = ["-H", f"Authorization: Bearer {token}"] if token else []
    said = of.run("curl", "-sS", "-m", "5", "--cacert", CA, "-w", "\n%{http_code}", *bearer, url).stdout
    body, _, code = said.rpartition("\n")
    return int(code), json.loads(body)


def test_a_token_is_verified_from_outside_by_the_issuer_s_own_keys(cluster: host.Host) -> None:
    token = cluster.kubectl("create", "token", "default", "--audience=vault", "--duration=10m").strip()
    own = cluster.kubectl("create", "token", "default").strip()
    server = f"https://{host.ADDRESS}:6443"
    assert ask(cluster, server + DISCOVERY)[0] == 403, "anonymous is told nothing unless it is allowed to"
    assert ask(cluster, server + DISCOVERY, own)[0] == 200, "every ServiceAccount may read it"
    cluster.kubectl(
        "create", "clusterrolebinding", "oidc", f"--clusterrole={ROLE}", "--group=system:unauthenticated"
    )
    try:
        code, told = host.wait_for(
            lambda: (got := ask(cluster, server + DISCOVERY))[0] == 200 and got, what="leave"
        )
        assert code == 200
        claims = jwt.decode(token, options={"verify_signature": False})
        assert told["issuer"] == claims["iss"]
        code, keys = ask(cluster, told["jwks_uri"])
        assert code == 200
        known = {each.key_id: each for each in jwt.PyJWKSet.from_dict(keys).keys}
        header = jwt.get_unverified_header(token)
        assert header["alg"] in told["id_token_signing_alg_values_supported"]
        key = known[header["kid"]]
        read = jwt.decode(token, key, [header["alg"]], audience="vault", issuer=told["issuer"])
        assert read["sub"] == "system:serviceaccount:default:default"
        assert 0 < read["exp"] - read["iat"] <= 600
        with pytest.raises(jwt.InvalidAudienceError):
            jwt.decode(token, key, [header["alg"]], audience="other")
        assert ask(cluster, server + "/api/v1/namespaces")[0] == 403
    finally:
        cluster.kubectl("delete", "clusterrolebinding", "oidc")
