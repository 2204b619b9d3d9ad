"""The plugins that clients configure: webhooks and policies, in upstream's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from prometheus_client.registry import Collector

from nanokube.apiserver.admission.chain import Plugin
from nanokube.apiserver.admission.matching.metrics import ConditionMetrics
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.policies.matched import Matcher
from nanokube.apiserver.admission.policies.metrics import PolicyMetrics
from nanokube.apiserver.admission.policies.mutating import MutatingPolicies
from nanokube.apiserver.admission.policies.params import Params
from nanokube.apiserver.admission.policies.source import Source as PolicySource
from nanokube.apiserver.admission.policies.validating import ValidatingPolicies
from nanokube.apiserver.admission.policies.warm import Warm
from nanokube.apiserver.admission.webhooks import metrics
from nanokube.apiserver.admission.webhooks.caller import Caller
from nanokube.apiserver.admission.webhooks.metrics import WebhookMetrics
from nanokube.apiserver.admission.webhooks.mutating import MutatingWebhooks
from nanokube.apiserver.admission.webhooks.source import Source as HookSource
from nanokube.apiserver.admission.webhooks.validating import ValidatingWebhooks
from nanokube.apiserver.authz.authorizer import Authorizer
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.outgoing.client import Client

_GROUP: Final = ".admissionregistration.k8s.io"


class Configured:
    """plugins: for the chain. warm: compiles what they ask. collectors: their metrics."""

    def __init__(self, caches: Caches, versions: Versions, authorizer: Authorizer, client: Client) -> None:
        namespaces = caches.of("namespaces")

        def find(name: str) -> Mapping[str, Any] | None:
            item = namespaces.find(name)
            return item.view() if item is not None else None

        def policies(kind: str) -> PolicySource:
            return PolicySource(caches, *_names(kind), versions)

        def hooks(kind: str) -> HookSource:
            return HookSource(caches, f"{kind}webhookconfigurations{_GROUP}", versions)

        conditions = ConditionMetrics()
        matcher = Matcher(Params(caches, versions), authorizer, conditions)
        calls = WebhookMetrics()
        changes = PolicyMetrics("mutating_admission_policy")
        checks = PolicyMetrics("validating_admission_policy")
        admit = Caller(client, authorizer, calls, conditions, metrics.ADMIT)
        validate = Caller(client, authorizer, calls, conditions, metrics.VALIDATING)
        mutating, validating = policies("mutating"), policies("validating")
        followed = [caches.of(name) for kind in ("mutating", "validating") for name in _names(kind)]
        self.warm = Warm((mutating, validating), followed)
        self.plugins: Sequence[Plugin] = (
            MutatingPolicies(mutating, matcher, versions, find, changes),
            MutatingWebhooks(hooks("mutating"), admit, versions, find),
            ValidatingPolicies(validating, matcher, versions, find, checks),
            ValidatingWebhooks(hooks("validating"), validate, versions, find),
        )
        self.collectors: Sequence[Collector] = (
            *conditions.collectors,
            *calls.collectors,
            *changes.collectors,
            *checks.collectors,
        )


def _names(kind: str) -> tuple[str, str]:
    """Name policies of a kind and their bindings as they are stored."""
    return f"{kind}admissionpolicies{_GROUP}", f"{kind}admissionpolicybindings{_GROUP}"
