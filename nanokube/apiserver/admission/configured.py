"""The plugins that clients configure: webhooks and policies, in upstream's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.registry import Collector

from nanokube.apiserver.admission.chain import Plugin
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.webhooks import metrics
from nanokube.apiserver.admission.webhooks.caller import Caller
from nanokube.apiserver.admission.webhooks.metrics import WebhookMetrics
from nanokube.apiserver.admission.webhooks.mutating import MutatingWebhooks
from nanokube.apiserver.admission.webhooks.source import Source
from nanokube.apiserver.admission.webhooks.validating import ValidatingWebhooks
from nanokube.apiserver.authz.authorizer import Authorizer
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.outgoing.client import Client

MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.admissionregistration.k8s.io"


class Configured:
    """plugins: for the chain. collectors: their metrics."""

    def __init__(self, caches: Caches, versions: Versions, authorizer: Authorizer, client: Client) -> None:
        namespaces = caches.of("namespaces")

        def find(name: str) -> Mapping[str, Any] | None:
            item = namespaces.find(name)
            return item.view() if item is not None else None

        counts = WebhookMetrics()
        mutating = Source(caches, MUTATING, versions)
        validating = Source(caches, VALIDATING, versions)
        self.plugins: Sequence[Plugin] = (
            MutatingWebhooks(mutating, Caller(client, counts, metrics.ADMIT), versions, find),
            ValidatingWebhooks(validating, Caller(client, counts, metrics.VALIDATING), versions, find),
        )
        self.collectors: Sequence[Collector] = counts.collectors
