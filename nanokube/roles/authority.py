"""A worker's copy of the cluster's authority: replaced in time by its successor, which has the same key.

Servers renew the authority when half of its life is over (roles/bootstrap.py); a worker, which has trusted it
since it joined, then finds the successor in ConfigMap cluster-info, which anybody may read.
"""

import base64
import datetime
import logging
from typing import Never

import yaml

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api import errors, resources
from nanokube.client import kubeconfig, rest
from nanokube.kit import clock, files, pki, tasks
from nanokube.roles import bootstrap
from nanokube.roles import config as node_config

log = logging.getLogger(__name__)

CONFIG_MAPS = resources.get("configmaps")


async def keep(config: node_config.NodeConfig, time: clock.Clock = clock.SYSTEM) -> Never:
    """Follow the cluster's authority, until cancelled."""

    async def look() -> None:
        now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        try:
            if await follow(config, now):
                log.info("authority renewed")
        except (OSError, errors.ApiError, ValueError) as err:
            log.warning("authority not renewed: error=%s", tasks.describe(err))

    await tasks.every(bootstrap.RENEWAL_CHECK_S, look, name="authority")


async def follow(config: node_config.NodeConfig, now: datetime.datetime) -> bool:
    """Take the authority's successor if the own copy is due and there is one; tell whether it was taken.

    Raises OSError, ApiError, ValueError for what cannot be understood.
    """
    file = config.paths.pki / "ca.crt"
    own = file.read_bytes()
    if pki.describe(own).not_after - now > pki.AUTHORITY_RENEWAL_MARGIN:
        return False
    async with rest.Client(
        kubeconfig.Access(config.server, ca=own), user_agent="nanokube-authority"
    ) as client:
        info = await client.get(CONFIG_MAPS, tokens.CLUSTER_INFO, tokens.CLUSTER_INFO_NAMESPACE)
    found = successor(own, (info.get("data") or {}).get(tokens.KUBECONFIG_KEY, ""))
    if found is None:
        return False
    files.write_private(file, found)
    return True


def successor(own: bytes, text: str) -> bytes | None:
    """Return the authority that a kubeconfig names, if it has the own one's key and lives longer. Pure.

    Raises ValueError for what cannot be understood.
    """
    try:
        cluster = yaml.safe_load(text)["clusters"][0]["cluster"]
        found = base64.b64decode(cluster["certificate-authority-data"])
    except (yaml.YAMLError, TypeError, LookupError) as err:
        raise ValueError("cannot understand what the cluster says of itself") from err
    if pki.public_key_hash(found) != pki.public_key_hash(own):
        return None  # another authority's: people have to decide
    return found if pki.describe(found).not_after > pki.describe(own).not_after else None
