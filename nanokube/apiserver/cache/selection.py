"""Which objects of a cache a list or watch is about. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nanokube.api import selectors
from nanokube.apiserver.cache.item import Item

NO_FIELDS = selectors.FieldSelector()
ReadFields = Callable[[Mapping[str, Any]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Selection:
    """namespace "" is all namespaces, name "" all names."""

    namespace: str = ""
    name: str = ""
    labels: selectors.LabelSelector = selectors.EVERYTHING
    fields: selectors.FieldSelector = NO_FIELDS

    @property
    def is_plain(self) -> bool:
        """Nothing but the namespace selects."""
        return not self.name and self.labels.is_empty and self.fields.is_empty

    def matches(self, item: Item, read: ReadFields) -> bool:
        """Tell whether an object is selected."""
        if self.namespace and item.namespace != self.namespace:
            return False
        if self.name and item.name != self.name:
            return False
        if not self.labels.is_empty and not self.labels.matches(item.labels()):
            return False
        if self.fields.is_empty:
            return True
        fields = item.fields(read)
        return self.fields.matches(lambda path: fields.get(path, ""))
