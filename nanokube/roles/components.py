"""What each component of a node runs: the only place where parts are wired together."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Never

from nanokube.api import resources
from nanokube.apiserver import config as apiserver_config
from nanokube.apiserver import run as apiserver_run
from nanokube.client import informer, leader, rest
from nanokube.controllers import env as controllers_env
from nanokube.controllers import run as controllers_run
from nanokube.dns import link as dns_link
from nanokube.dns import run as dns_run
from nanokube.kit import pki
from nanokube.kubelet import config as kubelet_config
from nanokube.kubelet import run as kubelet_run
from nanokube.podnet import plan as podnet_plan
from nanokube.podnet import run as podnet_run
from nanokube.proxy import announcer
from nanokube.proxy import run as proxy_run
from nanokube.roles import audit, balancer, bootstrap, component, encryption_keys, etcd
from nanokube.roles import config as node_config
from nanokube.scheduler import run as scheduler_run

Lead = Callable[[], Coroutine[Any, Any, Never]]


def mains(config: node_config.NodeConfig) -> Mapping[str, Callable[[], None]]:
    """Return the components of a node, in the order in which they start."""
    if config.is_worker:
        return {"agent": lambda: component.run_until_stopped(lambda: agent(config))}
    return {
        **({"etcd": lambda: etcd.main(config)} if config.store == node_config.ETCD else {}),
        "apiserver": lambda: component.run_until_stopped(lambda: apiserver_run.run(apiserver(config))),
        "agent": lambda: component.run_until_stopped(lambda: agent(config)),
        "manager": lambda: component.run_until_stopped(lambda: manager(config)),
    }


def apiserver(config: node_config.NodeConfig) -> apiserver_config.ApiServerConfig:
    """Return the API server's settings on this node."""
    pki = config.paths.pki
    config.paths.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    return apiserver_config.ApiServerConfig(
        advertise_address=config.node_ip,
        port=config.api_port,
        tls_cert=pki / "apiserver.crt",
        tls_key=pki / "apiserver.key",
        client_ca=pki / "ca.crt",
        service_account_public_key=pki / "sa.pub",
        service_account_private_key=pki / "sa.key",
        store=etcd.store(config),
        encryption=encryption_keys.path(config),
        service_cidr=config.service_cidr,
        dns_ip=config.dns_ip,
        kubelet_client_cert=pki / "apiserver-kubelet-client.crt",
        kubelet_client_key=pki / "apiserver-kubelet-client.key",
        kubelet_ca=pki / "ca.crt",
        front_proxy_ca=pki / "front-proxy-ca.crt",
        front_proxy_cert=pki / "front-proxy-client.crt",
        front_proxy_key=pki / "front-proxy-client.key",
        audit=audit.parse(config.audit),
    )


async def manager(config: node_config.NodeConfig) -> Never:
    """Run the scheduler and the controllers, each with an identity of its own."""
    place = config.paths
    async with (
        rest.Client.from_kubeconfig(
            place.kubeconfig("scheduler"), user_agent="nanokube-scheduler"
        ) as scheduling,
        rest.Client.from_kubeconfig(
            place.kubeconfig("controller-manager"), user_agent="nanokube-controllers"
        ) as controlling,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(scheduling.follow(place.kubeconfig("scheduler")), name="scheduler's credentials")
        group.create_task(
            controlling.follow(place.kubeconfig("controller-manager")), name="controllers' credentials"
        )
        schedule: Lead = functools.partial(scheduler_run.run, scheduling)
        control: Lead = functools.partial(controllers_run.run, controlling, controller_options(config))
        if config.store:  # other servers may have a manager, too: of all, one works
            schedule = led(scheduling, "kube-scheduler", config, schedule)
            control = led(controlling, "kube-controller-manager", config, control)
        group.create_task(schedule(), name="scheduler")
        group.create_task(control(), name="controllers")
    raise AssertionError("components run until they are cancelled")


def led(client: rest.Client, name: str, config: node_config.NodeConfig, lead: Lead) -> Lead:
    """Have work done only while this node holds a Lease; the process ends when it is lost."""
    elector = leader.Elector(client, leader.Election(name, config.node_name))
    return lambda: elector.run(lead)


def controller_options(config: node_config.NodeConfig) -> controllers_env.Options:
    """Return the controllers' settings in this cluster."""
    certificate, key = ((config.paths.pki / name).read_bytes() for name in ("ca.crt", "ca.key"))
    return controllers_env.Options(
        cluster_cidr=config.pod_cidr,
        load_balancer_pool=config.load_balancer_pool,
        server=config.public_server,
        shared_settings={name: getattr(config, name) for name in node_config.SHARED},
        root_ca=certificate.decode(),
        authority=pki.Authority(pki.KeyPair(certificate, key)),
    )


async def agent(config: node_config.NodeConfig) -> Never:
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
            group.create_task(etcd.keep_credentials(config), name="etcd's credentials")
        group.create_task(kubelet_run.run(kubelet(config), kubelet_client), name="kubelet")
        services, slices = service_informers(proxy_client)
        if config.is_worker:
            group.create_task(balance(config, slices), name="balancer")
        group.create_task(services.run(), name="informer services")
        group.create_task(slices.run(), name="informer endpointslices")
        nodes = informer.Informer(proxy_client, resources.get("nodes"), transform=podnet_plan.trim)
        group.create_task(nodes.run(), name="informer nodes")
        network = podnet_run.run(nodes, config.node_name, [config.pod_cidr], host_setting(config))
        group.create_task(network, name="pod network")
        links = announcer.Links(config.node_ip, dns_link.LINK, host_setting(config))
        announcing = announcer.Announcer(
            services, slices, nodes, config.node_name, links, proxy_run.SERVICE_INDEX
        )
        group.create_task(announcing.run(), name="announcer")
        proxying = proxy_run.run(
            services,
            slices,
            config.node_name,
            [config.dns_ip],
            nodes=nodes,
            ranges=proxy_run.Ranges([config.pod_cidr], [config.service_cidr]),
        )
        group.create_task(proxying, name="proxy")
        dns = dns_run.DnsConfig(config.dns_ip, config.service_cidr, config.node_ip, config.cluster_domain)
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
        pod_logs=config.paths.pod_logs,
        cluster_dns=(config.dns_ip,),
        cluster_domain=config.cluster_domain,
        pod_cidr=config.node_pod_cidr,  # a worker's is empty: the cluster gives it one
        port=config.kubelet_port,
        server_cert=serving or pki / "kubelet-server.crt",
        server_key=serving or pki / "kubelet-server.key",
        client_certificate=pki / bootstrap.KUBELET_CLIENT if config.is_worker else None,
        client_ca=pki / "ca.crt",
        cgroup_root=f"/{config.cgroup_root}/pods",
    )
