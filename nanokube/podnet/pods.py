"""Gives both ends of Pods' links their limits of size, in the host's namespace and in the Pods'. Blocks.

The Pod's end comes first and the host's last, so the host's tells whether a Pod has what is wanted.
"""

import contextlib
import dataclasses
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cri.linux import clone
from nanokube.kit import links
from nanokube.podnet import sizes

log = logging.getLogger(__name__)


class Pods:
    """The Pods of this node. Their namespaces are pinned, each as DIRECTORY/SANDBOX/net."""

    def __init__(self, pins: Path) -> None:
        self._pins = pins
        self._is_failing = False

    def fit(self, host: links.Socket, found: Iterable[links.Link], wanted: links.Sizes) -> None:
        """Bring all Pods' links to the wanted sizes. found: the links of the host's namespace."""
        todo: dict[int, list[links.Link]] = {}
        for each in found:
            is_off = sizes.is_of_pod(each) and each.sizes != each.fitted(wanted)
            if is_off and each.peer_space is not None:
                todo.setdefault(each.peer_space, []).append(each)
        if todo:
            with _Opened(self._pins, host, todo) as spaces:
                _in_thread(lambda: self._fit(host, todo, spaces, wanted))

    def _fit(
        self,
        host: links.Socket,
        todo: Mapping[int, list[links.Link]],
        spaces: Mapping[int, int],
        wanted: links.Sizes,
    ) -> None:
        """Go through namespaces: the thread ends in one of them."""
        failed = None
        for space, ends in todo.items():
            try:
                if space in spaces:
                    clone.setns(spaces[space], clone.CLONE_NEWNET)
                    _fit_inside({each.index for each in ends}, wanted)
                    for each in ends:
                        host.fit(each.index, each.fitted(wanted))
            except OSError as err:  # on its way out, mostly
                failed = err
        if failed and not self._is_failing:
            log.warning("largest packets of a pod's link not set error=%s", failed)
        self._is_failing = failed is not None


def _fit_inside(peers: set[int], wanted: links.Sizes) -> None:
    """Set the ends of links that are here; peers: the host's indices of the others."""
    with links.Socket() as inside:
        is_changed = False
        for each in inside.links():
            fitted = each.fitted(wanted)
            if each.below in peers and each.peer_space is not None and each.sizes != fitted:
                _fit_end(inside, each, fitted)
                is_changed = True
        if is_changed:
            inside.forget_ways()


def _fit_end(inside: links.Socket, link: links.Link, wanted: links.Sizes) -> None:
    """Set a Pod's end. Its MTU of IPv6 is small while its packets may be large, also for open connections."""
    is_large = wanted.ipv6 > links.DEFAULT_BYTES
    if not is_large:
        inside.fit(link.index, wanted)
    with contextlib.suppress(FileNotFoundError):  # a link without IPv6
        fitted = sizes.mtu_of_ipv6(dataclasses.replace(link, sizes=wanted))
        Path(f"/proc/sys/net/ipv6/conf/{link.name}/mtu").write_text(str(fitted))
    if is_large:
        inside.fit(link.index, wanted)


class _Opened:
    """Descriptors of pinned namespaces, by the numbers that the host has for them."""

    def __init__(self, pins: Path, host: links.Socket, wanted: Iterable[int]) -> None:
        self._pins, self._host, self._wanted = pins, host, set(wanted)
        self._held: dict[int, int] = {}

    def __enter__(self) -> Mapping[int, int]:
        for pin in self._pins.glob("*/net"):
            try:
                fd = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # gone meanwhile
                continue
            space = self._number(fd)
            if space in self._wanted and space not in self._held:
                self._held[space] = fd
            else:
                os.close(fd)
        return self._held

    def __exit__(self, *_: object) -> None:
        for fd in self._held.values():
            os.close(fd)

    def _number(self, fd: int) -> int:
        try:
            return self._host.space(fd)
        except OSError:  # not pinned yet, or not any more: a plain file
            return -1


def _in_thread(work: Callable[[], None]) -> None:
    """Run it in a thread that ends with it, so that nothing else ever runs in another namespace."""
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as err:
            failures.append(err)

    thread = threading.Thread(target=attempt, name="pods' links")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
