"""resolv.conf, hosts and hostname."""

import pytest

from cri.api import runtime_pb2 as pb
from cri.network import files


def test_resolv_conf_has_a_line_a_setting() -> None:
    dns = pb.DNSConfig(
        servers=["10.10.10.10", "fe80::1%eth0"], searches=["google.com", "b"], options=["ndots:8"]
    )
    assert files.resolv_conf(dns).splitlines() == [
        "search google.com b",
        "nameserver 10.10.10.10",
        "nameserver fe80::1%eth0",
        "options ndots:8",
    ]
    assert files.resolv_conf(pb.DNSConfig()) == ""


@pytest.mark.parametrize(
    "dns",
    [
        pb.DNSConfig(servers=["10.0.0.1\nnameserver 6.6.6.6"]),
        pb.DNSConfig(servers=["example.org"]),
        pb.DNSConfig(searches=["a b"]),
        pb.DNSConfig(searches=["a\nnameserver 6.6.6.6"]),
        pb.DNSConfig(options=["ndots:1\x00"]),
        pb.DNSConfig(searches=[""]),
    ],
)
def test_a_value_that_would_be_read_as_more_is_refused(dns: pb.DNSConfig) -> None:
    with pytest.raises(files.InvalidValue):
        files.resolv_conf(dns)


def test_hosts_names_every_address_of_the_pod() -> None:
    text = files.hosts(["10.244.0.2", "fd00::2"], "web-0")
    assert "10.244.0.2\tweb-0\n" in text
    assert "fd00::2\tweb-0\n" in text
    assert text.startswith("127.0.0.1\tlocalhost\n")


@pytest.mark.parametrize("name", ["a", "a" * 64, "web-0.web.default.svc.", "a" * 63 + "."])
def test_a_hostname_may_be_an_absolute_domain_name(name: str) -> None:
    """A kubelet without a cluster domain names Pods with setHostnameAsFQDN so."""
    assert files.check_hostname(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a b", "a\n127.0.0.1 evil", "a" * 65, "a" * 64 + ".", "a..", "ä"]
)
def test_a_hostname_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(files.InvalidValue):
        files.check_hostname(name)
