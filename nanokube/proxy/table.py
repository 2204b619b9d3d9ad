"""What the table holds, owned Service by Service: a change touches that Service's elements only. Pure."""

from collections.abc import Mapping, Sequence

from nanokube.proxy import ruleset

Element = tuple[str, str]


class Table:
    """Elements by owner. Two Services may own one element (both lead to one Pod): it goes with the last."""

    def __init__(self, pods: Sequence[str] = (), services: Sequence[str] = ()) -> None:
        """pods, services: the cluster's ranges."""
        self._ranges = (pods, services)
        self._owned: dict[str, Mapping[Element, str]] = {}
        self._owners: dict[Element, dict[str, str]] = {}

    def replace(self, owner: str, elements: Mapping[Element, str]) -> str:
        """Give an owner other elements; returns the nft commands that follow, empty if nothing changes."""
        old = self._owned.get(owner, {})
        touched = {*old, *elements}
        before = self._effective(touched)
        for element in old:
            self._owners[element].pop(owner, None)
        for element, value in elements.items():
            self._owners.setdefault(element, {})[owner] = value
        after = self._effective(touched)
        for element in touched - after.keys():
            self._owners.pop(element, None)
        if elements:
            self._owned[owner] = dict(elements)
        else:
            self._owned.pop(owner, None)
        return ruleset.changes(before, after)

    def everything(self) -> str:
        """Return the commands that make the whole table anew."""
        return f"{ruleset.skeleton(*self._ranges)}\n{ruleset.changes({}, self._effective(self._owners))}"

    def owners(self) -> set[str]:
        """Return who owns elements."""
        return set(self._owned)

    def _effective(self, elements: "set[Element] | Mapping[Element, object]") -> dict[Element, str]:
        return {each: next(iter(owners.values())) for each in elements if (owners := self._owners.get(each))}
