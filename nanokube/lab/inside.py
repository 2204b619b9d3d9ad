"""Run in a node: put its faults into the kernel. Reads a JSON object from standard input: `faults.apply`."""

import json
import sys
from pathlib import Path
from typing import Any

from cri.linux import nftables
from nanokube.lab import place

ROOT_HANDLE = 0x10000  # "1:"


def main(order: dict[str, Any]) -> str:
    """Do as ordered; return what cannot be done, or nothing."""
    if order["delay_ms"] is not None:
        from pyroute2.netlink.exceptions import NetlinkError  # takes a while; most faults need none of it

        try:
            _delay(order["delay_ms"])
        except NetlinkError as err:
            return f"cannot delay packets: this kernel has no netem (sch_netem): {err.args[-1]}"
    rules = nftables.Nftables()
    try:
        rules.run(order["nft"])
    except nftables.NftablesError as err:
        return f"cannot drop packets: {err}"
    finally:
        rules.close()
    clock = Path(place.CLOCK_FILE)
    temporary = clock.with_suffix(".tmp")
    temporary.write_text(f"{order['clock_s']}\n")
    temporary.replace(clock)
    return ""


def _delay(milliseconds: float) -> None:
    """Have what leaves the node wait; 0: not any more."""
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=place.LINK)
        if milliseconds:
            netlink.tc("replace", "netem", index, ROOT_HANDLE, delay=round(milliseconds * 1000))
        else:
            netlink.tc("del", "netem", index, ROOT_HANDLE)


if __name__ == "__main__":
    if failed := main(json.load(sys.stdin)):
        sys.exit(failed)
