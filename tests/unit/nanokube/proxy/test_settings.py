"""Timeouts of tracked connections."""

from nanokube.proxy import settings


def test_half_closed_connections_are_remembered_for_an_hour() -> None:
    seen: dict[str, str] = {}
    settings.apply(seen.__setitem__)
    assert seen["net/netfilter/nf_conntrack_tcp_timeout_close_wait"] == "3600"
    assert seen["net/netfilter/nf_conntrack_tcp_timeout_established"] == "86400"


def test_a_kernel_without_one_of_them_gets_the_others() -> None:
    seen: list[str] = []

    def set_one(path: str, value: str) -> None:
        if path.endswith("close_wait"):
            raise FileNotFoundError(path)
        seen.append(path)

    settings.apply(set_one)
    assert seen == ["net/netfilter/nf_conntrack_tcp_timeout_established"]
