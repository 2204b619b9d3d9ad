"""Columns of ConfigMaps, Secrets, ServiceAccounts and Leases. Pure.

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, Column, Columns, age


def _config_map(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def _secret(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), obj.get("type") or "", len(obj.get("data") or ()), age(obj, now)]


def _service_account(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), age(obj, now)]


def _lease(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), objects.spec(obj).get("holderIdentity") or "", age(obj, now)]


CONFIG_MAP: Final = Columns((NAME, Column("Data"), AGE), _config_map)
SECRET: Final = Columns((NAME, Column("Type"), Column("Data"), AGE), _secret)
SERVICE_ACCOUNT: Final = Columns((NAME, AGE), _service_account)
LEASE: Final = Columns((NAME, Column("Holder"), AGE), _lease)
