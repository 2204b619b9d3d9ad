"""Auditing of a server's requests, as its node was told of it."""

from collections.abc import Mapping

from nanokube.apiserver.audit import settings

OPTIONS = settings.OPTIONS


class AuditError(ValueError):
    """Options that cannot work; the message names what is wrong."""


def parse(options: Mapping[str, str]) -> settings.AuditSettings | None:
    """Read audit options; None if they ask for nothing. Raises AuditError."""
    try:
        return settings.parse(options)
    except ValueError as err:
        raise AuditError(str(err)) from err


def check(options: Mapping[str, str]) -> None:
    """Read the files that audit options name. Raises AuditError."""
    found = parse(options)
    if found is None:
        if options:
            raise AuditError(
                "auditing needs --audit-policy-file, and --audit-log-path or --audit-webhook-config-file"
            )
        return
    from nanokube.apiserver.audit import policy, webhook  # they take a while to import

    try:
        policy.load(found.policy_file)
        if found.webhook is not None:
            webhook.read(found.webhook.config_file)
    except OSError as err:
        raise AuditError(f"cannot read {err.filename}: {err.strerror}") from err
    except ValueError as err:
        raise AuditError(str(err)) from err
