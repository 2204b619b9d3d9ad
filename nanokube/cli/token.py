"""`nanokube token`: the tokens by which hosts join this cluster."""

import asyncio
import contextlib
import datetime
import re
import secrets
import string
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api import errors as api_errors
from nanokube.api import objects, resources
from nanokube.cli import errors, settings
from nanokube.client import kubeconfig, rest
from nanokube.kit import pki
from nanokube.roles import config as node_config
from nanokube.roles import handover

T = TypeVar("T")

SECRETS = resources.get("secrets")
CONFIG_MAPS = resources.get("configmaps")
ALPHABET = string.ascii_lowercase + string.digits
SIGNED_TIMEOUT_S = 10.0
LOOK_S = 0.05
WORKER_TTL_S, SERVER_TTL_S = 24 * 3600.0, 2 * 3600.0  # kubeadm's
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KEY = re.compile(r"[0-9a-f]{64}")
_DURATION = re.compile(r"(?:\d+[smhd])+")


def _ttl(_ctx: click.Context, _param: click.Parameter, value: str) -> float | None:
    try:
        return duration_s(value) if value else None
    except ValueError as err:
        raise click.BadParameter(str(err)) from err


def duration_s(text: str) -> float:
    """Read a span of time.

    >>> duration_s("1h30m"), duration_s("0")
    (5400.0, 0.0)
    """
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no span of time such as 30m, 24h or 7d")
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text)))


def _given(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value and tokens.split(value) is None:
        raise click.BadParameter("a token is six lower-case letters or digits, a dot, and sixteen more")
    return value


def _key(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value and not _KEY.fullmatch(value):
        raise click.BadParameter("a key is 64 hexadecimal digits")
    return value


@click.group()
def token() -> None:
    """Make, list and delete tokens by which hosts join."""


@token.command()
@click.argument("given", metavar="[TOKEN]", required=False, default="", callback=_given)
@click.option(
    "--ttl", default="", callback=_ttl, help="How long it lives; 0: for ever.  [default: 24h; 2h for servers]"
)
@click.option("--control-plane", is_flag=True, help="Let it join servers, and lay out what they must have.")
@click.option(
    "--certificate-key", default="", callback=_key, help="For servers: what seals it.  [default: drawn]"
)
@click.option("--description", default="", help="What it is for.")
def create(
    given: str, ttl: float | None, control_plane: bool, certificate_key: str, description: str
) -> None:
    """Make a token and print the line that joins a host with it.

    TOKEN and the key are drawn unless given, for hosts that are told them beforehand.
    """
    config = _server("token create")
    _refuse_alone(config, control_plane)
    lives_s = ttl if ttl is not None else SERVER_TTL_S if control_plane else WORKER_TTL_S
    token_id, secret = tokens.split(given) or (_draw(6), _draw(16))
    made = tokens.BootstrapToken(
        token_id,
        secret,
        time.time() + lives_s if lives_s else None,
        frozenset((tokens.AUTHENTICATION, tokens.SIGNING)),
        (tokens.JOIN_GROUP, *([tokens.SERVER_GROUP] if control_plane else [])),
        description,
    )
    key = bytes.fromhex(certificate_key) or handover.new_key()
    sealed = handover.seal(handover.collect(config), key) if control_plane else None
    _with_client(config, lambda client: store(client, made, sealed))
    ca_hash = pki.public_key_hash((config.paths.pki / "ca.crt").read_bytes())
    line = (
        f"sudo nanokube join {config.public_server} --token {made.token_id}.{made.secret} --ca-hash {ca_hash}"
    )
    click.echo(f"{line} --control-plane --certificate-key {key.hex()}" if control_plane else line)


def _refuse_alone(config: node_config.NodeConfig, control_plane: bool) -> None:
    """Refuse what nobody could join with."""
    if not config.public_server:
        raise errors.failure(
            f"no other host reaches this server: its address is {config.node_ip}",
            "give it one: `nanokube down`, then `nanokube up --node-ip ADDRESS`",
        )
    if control_plane and not config.store:
        raise errors.failure(
            "a further server cannot join: this cluster's objects are in SQLite, on this host alone",
            "move them to etcd first: see `nanokube store --help`",
        )


@token.command("list")
def list_() -> None:
    """List tokens; their secret parts are not shown."""
    config = _server("token list")
    found = _with_client(config, _list)
    table = Table(box=None, pad_edge=False)
    for heading in ("TOKEN", "LEFT", "EXPIRES", "USAGES", "DESCRIPTION"):
        table.add_column(heading)
    for each in found:
        ends = datetime.datetime.fromtimestamp(each.expires, datetime.UTC) if each.expires else None
        left = left_text(each.expires - time.time()) if each.expires else "for ever"
        expires = f"{ends:%Y-%m-%d %H:%M:%SZ}" if ends else "never"
        table.add_row(each.token_id, left, expires, ",".join(sorted(each.usages)), each.description)
    Console(highlight=False).print(table)


@token.command()
@click.argument("name", metavar="TOKEN")
def delete(name: str) -> None:
    """Delete a token, given whole or by its first part; hosts that joined with it stay."""
    config = _server("token delete")
    token_id = name.partition(".")[0]
    _with_client(config, lambda client: _delete(client, token_id))
    click.echo(f"token {token_id} deleted")


def left_text(seconds: float) -> str:
    """Write a span of time roughly.

    >>> left_text(86000), left_text(90), left_text(-1)
    ('23h', '1m', 'expired')
    """
    if seconds <= 0:
        return "expired"
    for unit, size in (("d", 86400 * 2), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{int(seconds)}s"


def _server(verb: str) -> node_config.NodeConfig:
    errors.require_root(verb)
    config = settings.saved()
    if config.is_worker:
        raise errors.failure("this host is a worker", f"run `nanokube {verb}` on a server")
    return config


def _draw(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _with_client(config: node_config.NodeConfig, work: Callable[[rest.Client], Awaitable[T]]) -> T:
    """Run work with an administrator's client; what fails ends the verb in one line."""

    async def run() -> T:
        access = kubeconfig.load(config.paths.admin_kubeconfig)
        async with rest.Client(access, user_agent="nanokube-cli", timeout_s=20.0) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except api_errors.ApiError as err:
        raise errors.failure(f"the API server refuses: {err}") from err
    except (OSError, ValueError) as err:
        hint = "see that it runs: `sudo nanokube status`"
        raise errors.failure(f"cannot reach the API server: {err}", hint) from err


async def store(
    client: rest.Client, made: tokens.BootstrapToken, sealed: dict[str, Any] | None = None
) -> None:
    """Store a token, and wait until the cluster signs with it or its time is over: else no host could join.

    sealed: what servers are given; it goes when the token does.
    """
    stored = await client.create(SECRETS, tokens.to_secret(made))
    if sealed is not None:
        owner = {
            "apiVersion": "v1",
            "kind": "Secret",
            "name": objects.name(stored),
            "uid": objects.uid(stored),
        }
        sealed["metadata"]["ownerReferences"] = [owner]
        with contextlib.suppress(api_errors.ApiError):
            await client.delete(SECRETS, handover.SECRET, tokens.NAMESPACE)
        await client.create(SECRETS, sealed)
    left_s = made.expires - time.time() if made.expires else SIGNED_TIMEOUT_S
    try:
        async with asyncio.timeout(min(left_s, SIGNED_TIMEOUT_S)):
            await _until_signing(client, made.token_id)
    except TimeoutError:
        if left_s < SIGNED_TIMEOUT_S:
            return  # the cluster signs with no token whose time is over
        click.echo("warning: the cluster does not sign with the token yet: does its manager run?", err=True)


async def _until_signing(client: rest.Client, token_id: str) -> None:
    while True:
        if await _is_signing(client, token_id):
            return
        await asyncio.sleep(LOOK_S)


async def _is_signing(client: rest.Client, token_id: str) -> bool:
    try:
        info = await client.get(CONFIG_MAPS, tokens.CLUSTER_INFO, tokens.CLUSTER_INFO_NAMESPACE)
    except api_errors.ApiError as err:
        if not api_errors.is_not_found(err):
            raise
        return False
    return tokens.SIGNATURE_PREFIX + token_id in (info.get("data") or {})


async def _list(client: rest.Client) -> list[tokens.BootstrapToken]:
    found = (await client.list(SECRETS, tokens.NAMESPACE)).items
    return [read for each in found if (read := tokens.of_secret(each)) is not None]


async def _delete(client: rest.Client, token_id: str) -> None:
    name = tokens.NAME_PREFIX + token_id
    try:
        found = await client.get(SECRETS, name, tokens.NAMESPACE)
        await client.delete(SECRETS, name, tokens.NAMESPACE, uid=objects.uid(found))
    except api_errors.ApiError as err:
        if api_errors.is_not_found(err):
            raise errors.failure(f"there is no token {token_id}", "`nanokube token list` names them") from err
        raise
