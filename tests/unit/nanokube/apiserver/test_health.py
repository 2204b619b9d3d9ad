"""What /healthz, /livez and /readyz say. What is expected is what a real server answered."""

from __future__ import annotations

import pytest

from nanokube.api.errors import ApiError
from nanokube.apiserver.health import Health
from nanokube.kit.http.message import Headers, Peer, Request, Response
from tests.unit.nanokube.apiserver.conftest import Api

HOOK = "poststarthook/scheduling/bootstrap-system-priority-classes"


class Server:
    """What is checked, and a client."""

    def __init__(self) -> None:
        self.is_well = True
        self.health = Health({"etcd": lambda: self.is_well})

    def ask(self, target: str) -> tuple[int, str]:
        request = Request("GET", target, Headers(), b"", Peer("127.0.0.1", 1))
        answer = self.health.answer(request, request.path)
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        return answer.status, answer.body.decode()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize("sort", ["healthz", "livez", "readyz"])
def test_checks_are_listed_when_asked(server: Server, sort: str) -> None:
    assert server.ask(f"/{sort}") == (200, "ok")
    code, body = server.ask(f"/{sort}?verbose")
    lines = body.splitlines()
    assert (code, lines[0], lines[-1]) == (200, "[+]ping ok", f"{sort} check passed")
    assert {"[+]log ok", "[+]etcd ok", f"[+]{HOOK} ok", "[+]autoregister-completion ok"} <= set(lines)
    only = {"[+]informer-sync ok", "[+]etcd-readiness ok", "[+]shutdown ok"}
    assert only & set(lines) == (only if sort == "readyz" else set())


def test_checks_are_asked_one_by_one(server: Server) -> None:
    assert server.ask(f"/livez/{HOOK}") == (200, "ok")
    assert server.ask("/readyz/shutdown") == (200, "ok")
    server.is_well = False
    assert server.ask("/livez/etcd") == (500, "internal server error: etcd failed\n")
    with pytest.raises(ApiError, match="could not find"):
        server.ask("/livez/shutdown")


def test_reasons_are_withheld(server: Server) -> None:
    server.is_well = False
    code, body = server.ask("/livez")
    assert code == 500
    assert "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n" in body
    assert body.endswith("\nlivez check failed\n")


def test_checks_are_left_out(server: Server) -> None:
    server.is_well = False
    assert server.ask("/livez?exclude=etcd") == (200, "ok")
    code, body = server.ask("/livez?verbose&exclude=etcd&exclude=nope&exclude=no2")
    assert code == 200
    assert "[+]etcd excluded: ok\n" in body
    expected = (
        '\nwarn: some health checks cannot be excluded: no matches for "no2","nope"\nlivez check passed\n'
    )
    assert body.endswith(expected)


def test_who_stops_is_alive_but_not_ready(server: Server) -> None:
    server.health.is_stopping = True
    assert server.ask("/livez") == (200, "ok")
    code, body = server.ask("/readyz")
    assert code == 500
    assert "[-]shutdown failed: reason withheld\n" in body


async def test_checks_are_in_the_index(api: Api) -> None:
    paths = (await api("GET", "/")).json["paths"]
    assert {"/readyz/shutdown", f"/healthz/{HOOK}", "/livez/etcd"} <= set(paths)
    assert paths == sorted(paths)
