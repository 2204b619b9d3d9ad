"""What auditing is told: upstream's --audit-* options, their defaults, and what they exclude. Pure.

Source: staging apiserver pkg/server/options/audit.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BATCH: Final = "batch"
BLOCKING: Final = "blocking"
STRICT: Final = "blocking-strict"
JSON: Final = "json"
LEGACY: Final = "legacy"
_MODES: Final = (BATCH, BLOCKING, STRICT)
_FORMATS: Final = (LEGACY, JSON)
_VERSION: Final = "audit.k8s.io/v1"

# Options without "--audit-", and what they are without being given.
OPTIONS: Final[Mapping[str, str]] = {
    "policy-file": "",
    "log-path": "",
    "log-maxage": "366",
    "log-maxbackup": "100",
    "log-maxsize": "100",
    "log-format": JSON,
    "log-compress": "false",
    "log-version": _VERSION,
    "log-mode": BLOCKING,
    "log-batch-buffer-size": "10000",
    "log-batch-max-size": "1",
    "log-batch-max-wait": "0s",
    "log-batch-throttle-enable": "false",
    "log-batch-throttle-qps": "0",
    "log-batch-throttle-burst": "0",
    "log-truncate-enabled": "false",
    "log-truncate-max-batch-size": str(10 << 20),
    "log-truncate-max-event-size": str(100 << 10),
    "webhook-config-file": "",
    "webhook-initial-backoff": "10s",
    "webhook-version": _VERSION,
    "webhook-mode": BATCH,
    "webhook-batch-buffer-size": "10000",
    "webhook-batch-max-size": "400",
    "webhook-batch-max-wait": "30s",
    "webhook-batch-throttle-enable": "true",
    "webhook-batch-throttle-qps": "10",
    "webhook-batch-throttle-burst": "15",
    "webhook-truncate-enabled": "false",
    "webhook-truncate-max-batch-size": str(10 << 20),
    "webhook-truncate-max-event-size": str(100 << 10),
}
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ms|s|m|h)")
_SECONDS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How events get to a backend.

    mode: BATCH buffers and loses what exceeds buffer_size events; BLOCKING lets answers wait until events are
    delivered; STRICT also refuses a request whose first event is not. qps: batches a second, 0 without bound.
    max_event_bytes: above it bodies are left out, and an event that is still longer is lost; 0 without bound.
    max_batch_bytes: what one batch holds at most, 0 without bound.
    """

    mode: str = BATCH
    buffer_size: int = 10_000
    max_size: int = 400
    max_wait_s: float = 30.0
    qps: float = 0.0
    burst: int = 1
    max_batch_bytes: int = 0
    max_event_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LogSettings:
    """path: "-" for standard output. max_age_days, max_backups, max_size_mb: 0 without bound."""

    path: str
    max_age_days: int = 366
    max_backups: int = 100
    max_size_mb: int = 100
    format: str = JSON
    compresses: bool = False
    delivery: Delivery = Delivery(BLOCKING)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """config_file: a kubeconfig that says where to POST, and as whom."""

    config_file: Path
    initial_backoff_s: float = 10.0
    delivery: Delivery = Delivery(qps=10.0, burst=15)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """At least one of log and webhook is there."""

    policy_file: Path
    log: LogSettings | None = None
    webhook: WebhookSettings | None = None


def parse(given: Mapping[str, str]) -> AuditSettings | None:
    """Read options by their names in OPTIONS; None if they ask for nothing. Raises ValueError."""
    unknown = sorted(given.keys() - OPTIONS.keys())
    if unknown:
        raise ValueError(f"unknown audit option {unknown[0]!r}")
    said = {**OPTIONS, **given}
    log = _log(said) if said["log-path"] else None
    webhook = _webhook(said) if said["webhook-config-file"] else None
    if not said["policy-file"] or (log is None and webhook is None):
        return None  # as upstream: a policy without a backend, or a backend without a policy, records nothing
    return AuditSettings(Path(said["policy-file"]), log, webhook)


def _log(said: Mapping[str, str]) -> LogSettings:
    age, backups, size = (_whole(said, f"log-{name}") for name in ("maxage", "maxbackup", "maxsize"))
    if said["log-format"] not in _FORMATS:
        allowed = ", ".join(_FORMATS)
        raise ValueError(f"audit-log-format {said['log-format']!r} is not one of {allowed}")
    return LogSettings(
        said["log-path"],
        age,
        backups,
        size,
        said["log-format"],
        _boolean(said, "log-compress"),
        _delivery(said, "log"),
    )


def _webhook(said: Mapping[str, str]) -> WebhookSettings:
    backoff_s = _seconds(said, "webhook-initial-backoff")
    return WebhookSettings(Path(said["webhook-config-file"]), backoff_s, _delivery(said, "webhook"))


def _delivery(said: Mapping[str, str], kind: str) -> Delivery:
    mode = said[f"{kind}-mode"]
    if mode not in _MODES:
        raise ValueError(f"audit-{kind}-mode {mode!r} is not one of {', '.join(_MODES)}")
    if said[f"{kind}-version"] != _VERSION:
        raise ValueError(f"audit-{kind}-version {said[f'{kind}-version']!r} is not {_VERSION}")
    event, batch = (_positive(said, f"{kind}-truncate-max-{what}-size") for what in ("event", "batch"))
    if batch < event:
        raise ValueError(
            f"audit-{kind}-truncate-max-batch-size {batch} is less than that of an event, {event}"
        )
    truncates = _boolean(said, f"{kind}-truncate-enabled")
    bounds = (batch, event) if truncates else (0, 0)
    if mode != BATCH:
        return Delivery(mode, max_batch_bytes=bounds[0], max_event_bytes=bounds[1])
    throttles = _boolean(said, f"{kind}-batch-throttle-enable")
    return Delivery(
        mode,
        _positive(said, f"{kind}-batch-buffer-size"),
        _positive(said, f"{kind}-batch-max-size"),
        _seconds(said, f"{kind}-batch-max-wait"),
        _positive(said, f"{kind}-batch-throttle-qps") if throttles else 0,
        _positive(said, f"{kind}-batch-throttle-burst") if throttles else 1,
        *bounds,
    )


def _whole(said: Mapping[str, str], name: str) -> int:
    try:
        found = int(said[name])
    except ValueError as err:
        raise ValueError(f"audit-{name} {said[name]!r} is not a whole number") from err
    if found < 0:
        raise ValueError(f"audit-{name} {found} is negative")
    return found


def _positive(said: Mapping[str, str], name: str) -> int:
    found = _whole(said, name)
    if not found:
        raise ValueError(f"audit-{name} must be a positive number")
    return found


def _boolean(said: Mapping[str, str], name: str) -> bool:
    if said[name] not in ("true", "false"):
        raise ValueError(f"audit-{name} {said[name]!r} is neither true nor false")
    return said[name] == "true"


def _seconds(said: Mapping[str, str], name: str) -> float:
    """Read a duration as Go writes it."""
    text = said[name]
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"audit-{name} {text!r} is not a duration, such as 30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
