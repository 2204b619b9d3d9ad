"""CEL as webhooks and policies have it: names of `nanokube.api.cel.admission`, which validation uses too."""

from nanokube.api.cel.admission import (
    DECLARED,
    NAMESPACE,
    OBJECT,
    REQUEST,
    Scope,
    compiled,
    environment,
    misnamed,
)

__all__ = ["DECLARED", "NAMESPACE", "OBJECT", "REQUEST", "Scope", "compiled", "environment", "misnamed"]
