"""Strategy of CertificateSigningRequests. Pure.

Source: pkg/registry/certificates/certificates/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules

_JUDGED: Final = ("Approved", "Denied")


class SigningRequestRules(Rules):
    """What was asked for stays as it was asked, and a signer does not judge."""

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Keep the request."""
        new["spec"] = objects.spec(old)

    def on_status_update(self, new: dict[str, Any], old: Object) -> None:
        """Keep judgements as they were; to add or to remove one is for validation to refuse."""
        status = new.get("status") or {}
        for kind in _JUDGED:
            before = [c for c in objects.conditions(old) if c.get("type") == kind]
            listed = status.get("conditions") or []
            places = [i for i, c in enumerate(listed) if c.get("type") == kind]
            if len(places) == len(before):
                for place, condition in zip(places, before, strict=True):
                    listed[place] = condition

    def date(self, new: dict[str, Any], old: Object, now: str) -> None:
        """Date the conditions; one that is as it was has been so since then."""
        for condition in (new.get("status") or {}).get("conditions") or ():
            if not condition.get("lastUpdateTime"):
                condition["lastUpdateTime"] = now
            if not condition.get("lastTransitionTime"):
                condition["lastTransitionTime"] = _since(condition, old) or now


def _since(condition: Object, old: Object) -> str:
    times = (
        before.get("lastTransitionTime") or ""
        for before in objects.conditions(old)
        if all(before.get(key) == condition.get(key) for key in ("type", "status"))
    )
    return next(filter(None, times), "")


SIGNING_REQUEST: Final = SigningRequestRules()
