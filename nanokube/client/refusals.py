"""Refusals that callers act on. Pure."""

from nanokube.api import errors


def is_namespace_terminating(err: BaseException) -> bool:
    """Tell whether creation was refused because the namespace is being deleted: trying again is no use."""
    if not isinstance(err, errors.ApiError):
        return False
    causes = err.details.get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
