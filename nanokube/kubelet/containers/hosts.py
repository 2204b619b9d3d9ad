"""The /etc/hosts file the kubelet writes for a Pod. Pure.

Source: pkg/kubelet/kubelet_pods.go managedHostsFileContent, nodeHostsFileContent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

_HEAD = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_HOST_HEAD = "# Kubernetes-managed hosts file (host network).\n"
_ALIASES_HEAD = "\n# Entries added by HostAliases.\n"


def hostname(pod: Object) -> str:
    """Return a Pod's host name: at most 63 characters, not ending in a dash or dot."""
    spec = pod["spec"]
    name = spec.get("hostnameOverride") or spec.get("hostname") or pod["metadata"]["name"]
    return str(name)[:63].rstrip("-.")


def domain(pod: Object, cluster_domain: str) -> str:
    """Return a Pod's DNS domain, "" when it has no subdomain."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostnameOverride"):
        return ""
    return f"{subdomain}.{pod['metadata']['namespace']}.svc.{cluster_domain}"


def sandbox_hostname(pod: Object, cluster_domain: str) -> str:
    """Return what the sandbox's UTS namespace is to be named; "" keeps the node's (host network)."""
    if pod["spec"].get("hostNetwork") and not pod["spec"].get("hostnameOverride"):
        return ""
    zone = domain(pod, cluster_domain)
    if pod["spec"].get("setHostnameAsFQDN") and zone:
        return f"{hostname(pod)}.{zone}"
    return hostname(pod)


def content(pod: Object, ips: Sequence[str], cluster_domain: str, node_hosts: str) -> str:
    """Write the file. node_hosts: the node's own /etc/hosts, used by Pods on the host's network."""
    aliases = _aliases(pod["spec"].get("hostAliases") or ())
    if pod["spec"].get("hostNetwork"):
        return _HOST_HEAD + node_hosts + aliases
    name, zone = hostname(pod), domain(pod, cluster_domain)
    lines = [f"{ip}\t{name}.{zone}\t{name}\n" if zone else f"{ip}\t{name}\n" for ip in ips]
    return _HEAD + "".join(lines) + aliases


def _aliases(aliases: Sequence[Object]) -> str:
    if not aliases:
        return ""
    lines = ["\t".join([_plain(a["ip"]), *map(_plain, a.get("hostnames") or ())]) for a in aliases]
    return _ALIASES_HEAD + "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Keep control characters, which could forge lines, out of the file."""
    return "".join(char for char in text if char.isprintable() and char != " ")
