"""host-local: addresses from the node's own ranges, one file a lease, in the layout of the reference plugin.

    <dataDir>/<network>/<ip>                 container ID, CR LF, interface name
    <dataDir>/<network>/last_reserved_ip.0   where the search goes on
    <dataDir>/<network>/lock

Source: containernetworking/plugins, plugins/ipam/host-local/README.md.
"""

import contextlib
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cni.skel import Args, Attachment, CniError, Code, Json, valid_attachments

_DATA_DIR = "/var/lib/cni/networks"
_SEPARATOR = "\r\n"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Range:
    """A part of a subnet from which addresses are given out. Pure."""

    def __init__(self, config: Json) -> None:
        try:
            self.subnet = ipaddress.ip_network(config["subnet"])
            size = self.subnet.num_addresses
            self.first = self.subnet[int(size > 2)]
            self.last = self.subnet[-2 if self.subnet.version == 4 and size > 2 else -1]
            if "rangeStart" in config:
                self.first = ipaddress.ip_address(config["rangeStart"])
            if "rangeEnd" in config:
                self.last = ipaddress.ip_address(config["rangeEnd"])
            self.gateway = ipaddress.ip_address(config.get("gateway") or self.subnet[int(size > 1)])
        except (KeyError, ValueError, TypeError) as err:
            raise CniError(Code.INVALID_CONFIG, "invalid range in ipam", str(err)) from err
        if self.first not in self.subnet or self.last not in self.subnet or int(self.first) > int(self.last):
            raise CniError(Code.INVALID_CONFIG, f"range {self.first}-{self.last} is not within {self.subnet}")

    def __contains__(self, address: Address | None) -> bool:
        return (
            address is not None
            and address.version == self.subnet.version
            and int(self.first) <= int(address) <= int(self.last)
        )

    def candidates(self, after: Address | None) -> Iterator[Address]:
        """Yield every address but the gateway's, beginning after one, wrapping around."""
        first, count = int(self.first), int(self.last) - int(self.first) + 1
        offset = int(after) - first + 1 if after is not None and after in self else 0
        for step in range(count):
            address = self.first + ((offset + step) % count)
            if address != self.gateway:
                yield address


def ranges(ipam: Json) -> list[list[Range]]:
    """Read `ranges`, or the older single `subnet`."""
    sets = ipam.get("ranges") or ([[ipam]] if "subnet" in ipam else [])
    if not sets or not all(isinstance(each, list) and each for each in sets):
        raise CniError(Code.INVALID_CONFIG, "no ranges in ipam")
    return [[Range(item) for item in each] for each in sets]


def add(args: Args) -> Json:
    """Reserve one address of each set of ranges. A repeated ADD gets the addresses it had."""
    ipam = _ipam(args)
    sets = ranges(ipam)
    owner = Attachment(args.container_id, args.ifname)
    with Leases(_directory(args)) as leases:
        ips = []
        try:
            requested = _requested(args)
            if requested is not None and not any(requested in item for each in sets for item in each):
                raise CniError(Code.NO_ADDRESS, f"address {requested} is in no range")
            for index, each in enumerate(sets):
                wanted = requested if any(requested in item for item in each) else None
                address, found = leases.reserve(index, each, owner, wanted)
                ips.append({"address": f"{address}/{found.subnet.prefixlen}", "gateway": str(found.gateway)})
        except CniError:
            leases.release(owner)
            raise
    return {"ips": ips, "routes": list(ipam.get("routes") or []), "dns": {}}


def delete(args: Args) -> None:
    """Release what the attachment holds. Idempotent."""
    with Leases(_directory(args)) as leases:
        leases.release(Attachment(args.container_id, args.ifname))


def check(args: Args) -> None:
    """Fail if the attachment holds no address."""
    with Leases(_directory(args)) as leases:
        if not leases.held_by(Attachment(args.container_id, args.ifname)):
            raise CniError(Code.CHECK_FAILED, f"no address is reserved for {args.container_id}")


def gc(args: Args) -> None:
    """Release the leases of attachments that are not valid any more."""
    valid = valid_attachments(args.config)
    with Leases(_directory(args)) as leases:
        for owner in leases.owners() - valid:
            leases.release(owner)


def status(args: Args) -> None:
    """Fail when no address is left."""
    sets = ranges(_ipam(args))
    with Leases(_directory(args)) as leases:
        taken = leases.taken()
        for each in sets:
            if all(address in taken for item in each for address in item.candidates(None)):
                raise _full(each)


class Leases:
    """The lease files of one network, locked while open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = -1

    def __enter__(self) -> "Leases":
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def reserve(
        self, index: int, each: Sequence[Range], owner: Attachment, wanted: Address | None
    ) -> tuple[Address, Range]:
        """Find a free address in a set of ranges and take it. Raises CniError when there is none."""
        held = self.held_by(owner)
        for item in each:
            for address in held:
                if address in item:
                    return address, item
        last = self._last(index)
        start = next((number for number, item in enumerate(each) if last is not None and last in item), 0)
        for item in (*each[start:], *each[:start]):
            for address in item.candidates(last):
                if (wanted is None or address == wanted) and self._take(address, owner):
                    (self._directory / f"last_reserved_ip.{index}").write_text(str(address))
                    return address, item
        raise _full(each) if wanted is None else CniError(Code.NO_ADDRESS, f"address {wanted} is not free")

    def release(self, owner: Attachment) -> None:
        for address in self.held_by(owner):
            (self._directory / str(address)).unlink(missing_ok=True)

    def held_by(self, owner: Attachment) -> list[Address]:
        return [address for address in self.taken() if self._owner(address) == owner]

    def owners(self) -> set[Attachment]:
        return {owner for address in self.taken() if (owner := self._owner(address)) is not None}

    def taken(self) -> set[Address]:
        found = set()
        for name in os.listdir(self._directory):
            with contextlib.suppress(ValueError):
                found.add(ipaddress.ip_address(name))
        return found

    def _take(self, address: Address, owner: Attachment) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(self._directory / str(address), flags, 0o600)
        except FileExistsError:
            return False
        with open(fd, "w", newline="") as file:
            file.write(owner.container_id + _SEPARATOR + owner.ifname)
        return True

    def _owner(self, address: Address) -> Attachment | None:
        try:  # by bare calls: every ADD and DEL reads all leases of the node
            fd = os.open(f"{self._directory}/{address}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            container_id, _, ifname = os.read(fd, 4096).decode().partition(_SEPARATOR)
        finally:
            os.close(fd)
        return Attachment(container_id.strip(), ifname.strip())

    def _last(self, index: int) -> Address | None:
        try:
            return ipaddress.ip_address((self._directory / f"last_reserved_ip.{index}").read_text().strip())
        except (FileNotFoundError, ValueError):
            return None


def _full(each: Sequence[Range]) -> CniError:
    shown = ", ".join(f"{item.first}-{item.last}" for item in each)
    return CniError(Code.NO_ADDRESS, f"no IP addresses available in range set: {shown}")


def _ipam(args: Args) -> dict[str, Any]:
    ipam = args.config.get("ipam")
    if not isinstance(ipam, dict):
        raise CniError(Code.INVALID_CONFIG, "no ipam in network configuration")
    return ipam


def _directory(args: Args) -> Path:
    return Path(_ipam(args).get("dataDir") or _DATA_DIR) / str(args.config["name"])


def _requested(args: Args) -> Address | None:
    text = args.args.get("IP")
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError as err:
        raise CniError(Code.INVALID_ENVIRONMENT, f"invalid IP in CNI_ARGS: {text!r}") from err
