"""What each component of a server runs; with `agent.py` the only place where parts are wired together."""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Never

from nanokube.apiserver import config as apiserver_config
from nanokube.apiserver import run as apiserver_run
from nanokube.client import leader, rest
from nanokube.controllers import env as controllers_env
from nanokube.controllers import run as controllers_run
from nanokube.kit import pki, tls
from nanokube.roles import agent, audit, component, encryption_keys, etcd
from nanokube.roles import config as node_config
from nanokube.scheduler import run as scheduler_run

log = logging.getLogger(__name__)

Lead = Callable[[], Coroutine[Any, Any, Never]]
Control = Callable[[controllers_env.Options], Coroutine[Any, Any, Never]]


def mains(config: node_config.NodeConfig) -> Mapping[str, Callable[[], None]]:
    """Return the components of a server, in the order in which they start."""
    return {
        **({"etcd": lambda: etcd.main(config)} if config.store == node_config.ETCD else {}),
        "apiserver": lambda: component.run_until_stopped(lambda: apiserver_run.run(apiserver(config))),
        **agent.mains(config),
        "manager": lambda: component.run_until_stopped(lambda: manager(config)),
    }


def apiserver(config: node_config.NodeConfig) -> apiserver_config.ApiServerConfig:
    """Return the API server's settings on this node."""
    pki = config.paths.pki
    config.paths.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    return apiserver_config.ApiServerConfig(
        advertise_address=config.first_node_ip,
        bind_address=_listening(config),
        port=config.api_port,
        tls_cert=pki / "apiserver.crt",
        tls_key=pki / "apiserver.key",
        client_ca=pki / "ca.crt",
        service_account_public_key=pki / "sa.pub",
        service_account_private_key=pki / "sa.key",
        store=etcd.store(config),
        encryption=encryption_keys.path(config),
        service_cidr=config.service_cidr,
        dns_ip=",".join(config.dns_ips),
        kubelet_client_cert=pki / "apiserver-kubelet-client.crt",
        kubelet_client_key=pki / "apiserver-kubelet-client.key",
        kubelet_ca=pki / "ca.crt",
        front_proxy_ca=pki / "front-proxy-ca.crt",
        front_proxy_cert=pki / "front-proxy-client.crt",
        front_proxy_key=pki / "front-proxy-client.key",
        audit=audit.parse(config.audit),
    )


def _listening(config: node_config.NodeConfig) -> str:
    """The node's own components always come by 127.0.0.1."""
    return "0.0.0.0,::" if any(":" in each for each in config.node_ips) else "0.0.0.0"


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
        work: Control = functools.partial(controllers_run.run, controlling)
        control: Lead = functools.partial(with_current_authority, config, work)
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


class _AuthorityRenewedError(Exception):
    """The controllers publish, and sign by, a certificate that has a successor."""


async def with_current_authority(config: node_config.NodeConfig, control: Control) -> Never:
    """Run the controllers; when the authority is renewed, end them and begin anew with the successor.

    That is once in years, so none of them needs to follow the file.
    """
    while True:
        options = controller_options(config)

        async def look(used: str = options.root_ca) -> None:
            try:
                found = controller_options(config).root_ca
            except (OSError, ValueError) as err:
                log.warning("authority not taken: error=%s", err)
                return
            if found != used:
                raise _AuthorityRenewedError

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(tls.on_change({config.paths.pki / "ca.crt"}, look), name="authority")
                group.create_task(control(options), name="controllers")
        except* _AuthorityRenewedError:
            log.info("authority renewed: controllers begin anew")


def controller_options(config: node_config.NodeConfig) -> controllers_env.Options:
    """Return the controllers' settings in this cluster."""
    certificate, key = ((config.paths.pki / name).read_bytes() for name in ("ca.crt", "ca.key"))
    return controllers_env.Options(
        cluster_cidr=config.pod_cidr,
        node_mask_bits=config.node_mask_bits,
        node_mask_bits_ipv6=config.node_mask_bits_ipv6,
        load_balancer_pool=config.load_balancer_pool,
        server=config.public_server,
        node_grace_s=config.node_grace_s,
        shared_settings={name: getattr(config, name) for name in node_config.SHARED},
        root_ca=certificate.decode(),
        authority=pki.Authority(pki.KeyPair(certificate, key)),
    )
