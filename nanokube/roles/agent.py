"""What the agent of a node runs. Apart from the servers' components: a worker imports none of those."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Never

from nanokube.api import resources
from nanokube.client import informer, rest
from nanokube.dns import link as dns_link
from nanokube.dns import run as dns_run
from nanokube.kubelet import config as kubelet_config
from nanokube.kubelet import run as kubelet_run
from nanokube.netpol import run as netpol_run
from nanokube.podnet import plan as podnet_plan
from nanokube.podnet import run as podnet_run
from nanokube.proxy import announcer
from nanokube.proxy import run as proxy_run
from nanokube.proxy import settings as proxy_settings
from nanokube.roles import authority, balancer, bootstrap, component
from nanokube.roles import config as node_config


def mains(config: node_config.NodeConfig) -> Mapping[str, Callable[[], None]]:
    """Return a worker's only component."""
    return {"agent": lambda: component.run_until_stopped(lambda: run(config))}


async def run(config: node_config.NodeConfig) -> Never:
    """Run the kubelet, the service proxy and the node's DNS; the last two share their informers."""
    place = config.paths
    kubelet_file = place.kubeconfig("kubelet")
    # A worker's proxy and DNS read with the kubelet's credentials: nodes may, and one certificate is enough.
    proxy_file = kubelet_file if config.is_worker else place.kubeconfig("proxy")
    async with (
        rest.Client.from_kubeconfig(kubelet_file, user_agent="nanokube-kubelet") as kubelet_client,
        rest.Client.from_kubeconfig(proxy_file, user_agent="nanokube-proxy") as proxy_client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(kubelet_client.follow(kubelet_file), name="kubelet's credentials")
        group.create_task(proxy_client.follow(proxy_file), name="proxy's credentials")
        if not config.is_worker:
            group.create_task(bootstrap.keep_credentials(config), name="credentials")
        if config.store == node_config.ETCD:
            from nanokube.roles import etcd

            group.create_task(etcd.keep_credentials(config), name="etcd's credentials")
            group.create_task(etcd.keep_voting(config), name="etcd's vote")
        policies = netpol_run.NetworkPolicies(kubelet_client, config.node_name)
        group.create_task(policies.run(), name="network policies")
        kubelet_task = kubelet_run.run(kubelet(config), kubelet_client, attached=policies.attached)
        group.create_task(kubelet_task, name="kubelet")
        services, slices = service_informers(proxy_client)
        if config.is_worker:
            group.create_task(balance(config, slices), name="balancer")
            group.create_task(authority.keep(config), name="authority")
        group.create_task(services.run(), name="informer services")
        group.create_task(slices.run(), name="informer endpointslices")
        nodes = informer.Informer(proxy_client, resources.get("nodes"), transform=podnet_plan.trim)
        group.create_task(nodes.run(), name="informer nodes")
        network = podnet_run.run(
            nodes, config.node_name, config.pod_cidrs, host_setting(config), place.cri_run / "ns"
        )
        group.create_task(network, name="pod network")
        links = announcer.Links(config.node_ips, dns_link.LINK, host_setting(config))
        announcing = announcer.Announcer(
            services, slices, nodes, config.node_name, links, proxy_run.SERVICE_INDEX
        )
        group.create_task(announcing.run(), name="announcer")
        proxying = proxy_run.run(
            services,
            slices,
            config.node_name,
            config.dns_ips,
            nodes=nodes,
            ranges=proxy_run.Ranges(config.pod_cidrs, config.service_cidrs),
            settle=functools.partial(proxy_settings.apply, host_setting(config)),
        )
        group.create_task(proxying, name="proxy")
        dns = dns_run.DnsConfig(config.dns_ips, config.service_cidrs, config.node_ips, config.cluster_domain)
        group.create_task(dns_run.run(services, slices, dns), name="dns")
    raise AssertionError("components run until they are cancelled")


async def balance(config: node_config.NodeConfig, slices: informer.Informer) -> Never:
    """Run a worker's way to the servers, which it learns of from the slices of Service kubernetes."""
    file = config.paths.lib / balancer.FILE
    leases = balancer.LeaseReader(config.paths.kubeconfig("kubelet"), config.node_name)
    balanced = balancer.Balancer(
        [balancer.host_port(config.joined)], leases.answers, file, key=config.node_name
    )
    balancer.follow(balanced, slices)
    try:
        await balanced.run(config.balancer_port)
    finally:
        await leases.close()


def host_setting(config: node_config.NodeConfig) -> Callable[[str, str], None]:
    """Return what changes a setting of the host, which `reset` puts back."""
    from cni import host

    return functools.partial(host.set_sysctl, config.paths.cni)


def service_informers(client: rest.Client) -> tuple[informer.Informer, informer.Informer]:
    """Return the informers of Services and EndpointSlices that the proxy and the DNS of a node share."""
    services = informer.Informer(client, resources.get("services"))
    slices = informer.Informer(client, resources.get("endpointslices.discovery.k8s.io"))
    slices.add_index(proxy_run.SERVICE_INDEX, proxy_run.index_of_slice)
    return services, slices


def kubelet(config: node_config.NodeConfig) -> kubelet_config.KubeletConfig:
    """Return the kubelet's settings on this node."""
    pki = config.paths.pki
    serving = pki / bootstrap.KUBELET_SERVING if config.is_worker else None
    return kubelet_config.KubeletConfig(
        node_name=config.node_name,
        node_ip=config.node_ip,
        cri_socket=config.paths.cri_socket,
        root=config.paths.kubelet,
        volumes=config.paths.volumes,
        pod_logs=config.paths.pod_logs,
        cluster_dns=(config.dns_ip,),
        cluster_domain=config.cluster_domain,
        pod_cidr=config.node_pod_cidr,  # a worker's is empty: the cluster gives it one
        address="0.0.0.0,::" if any(":" in each for each in config.node_ips) else "0.0.0.0",
        port=config.kubelet_port,
        server_cert=serving or pki / "kubelet-server.crt",
        server_key=serving or pki / "kubelet-server.key",
        client_certificate=pki / bootstrap.KUBELET_CLIENT if config.is_worker else None,
        client_ca=pki / "ca.crt",
        cgroup_root=f"/{config.cgroup_root}/pods",
        shutdown_grace_s=config.shutdown_grace_s,
        shutdown_grace_critical_s=config.shutdown_grace_critical_s,
    )
