"""Columns of APIServices. Pure. Source: staging kube-aggregator pkg/registry/apiservice/etcd/etcd.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, Column, Columns, age


def _cells(obj: Object, now: float) -> list[Any]:
    service = objects.spec(obj).get("service")
    where = f"{service.get('namespace')}/{service.get('name')}" if service else "Local"
    return [objects.name(obj), where, _available(obj), age(obj, now)]


def _available(obj: Object) -> str:
    condition = objects.condition(obj, "Available")
    if condition is None:
        return "Unknown"
    status = str(condition.get("status"))
    return status if status == "True" else f"{status} ({condition.get('reason')})"


COLUMNS: Final = Columns((NAME, Column("Service"), Column("Available"), AGE), _cells)
