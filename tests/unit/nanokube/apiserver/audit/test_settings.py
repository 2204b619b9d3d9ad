"""Audit options and their defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanokube.apiserver.audit import settings
from nanokube.apiserver.audit.settings import Delivery

LOG = {"policy-file": "/p", "log-path": "/l"}
HOOK = {"policy-file": "/p", "webhook-config-file": "/w"}


def test_defaults_are_upstreams() -> None:
    found = settings.parse({**LOG, **HOOK})
    assert found is not None
    assert found.policy_file == Path("/p")
    log, webhook = found.log, found.webhook
    assert log == settings.LogSettings("/l", 366, 100, 100, "json", False, Delivery("blocking"))
    assert webhook == settings.WebhookSettings(
        Path("/w"), 10.0, Delivery("batch", 10_000, 400, 30.0, 10, 15, 0, 0)
    )


@pytest.mark.parametrize("given", [{}, {"policy-file": "/p"}, {"log-path": "/l"}])
def test_half_of_it_records_nothing(given: dict[str, str]) -> None:
    assert settings.parse(given) is None


def test_everything_can_be_said() -> None:
    found = settings.parse(
        {
            **HOOK,
            "webhook-initial-backoff": "1m30s",
            "webhook-batch-max-wait": "250ms",
            "webhook-batch-throttle-enable": "false",
            "webhook-truncate-enabled": "true",
            "webhook-truncate-max-event-size": "10",
        }
    )
    assert found is not None
    assert found.webhook is not None
    assert found.webhook.initial_backoff_s == 90
    assert found.webhook.delivery == Delivery("batch", 10_000, 400, 0.25, 0, 1, 10 << 20, 10)


@pytest.mark.parametrize(
    "given",
    [
        {"log-mode": "x"},
        {"log-format": "xml"},
        {"log-maxage": "-1"},
        {"log-maxsize": "many"},
        {"log-compress": "yes"},
        {"log-version": "audit.k8s.io/v1beta1"},
        {"log-mode": "batch", "log-batch-buffer-size": "0"},
        {"log-mode": "batch", "log-batch-max-wait": "soon"},
        {"log-mode": "batch", "log-batch-throttle-enable": "true"},
        {"log-truncate-max-event-size": "0"},
        {"log-truncate-max-batch-size": "1"},
        {"unknown": "1"},
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="audit"):
        settings.parse({**LOG, **given})
