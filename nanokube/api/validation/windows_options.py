"""Validation of a security context's options for Windows. Pure.

Source: pkg/apis/core/validation/validation.go, validateWindowsSecurityContextOptions.
"""

from __future__ import annotations

import re
from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, names

_MAX_SPEC_KIB: Final = 64
_MAX_DOMAIN: Final = 256
_MAX_USER: Final = 104
_NET_BIOS: Final = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_LABEL: Final = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BAD_USER: Final = re.compile(r'["/\\:;|=,+*?<>@\[\]]')


def validate(options: Object | None, path: str) -> list[FieldError]:
    """Check windowsOptions."""
    if options is None:
        return []
    found, name = list[FieldError](), options.get("gmsaCredentialSpecName")
    if name is not None:
        found += formats.each(names.dns_subdomain, name, f"{path}.gmsaCredentialSpecName")
    text, where = options.get("gmsaCredentialSpec"), f"{path}.gmsaCredentialSpec"
    if text == "":
        found.append(field.invalid(where, text, "gmsaCredentialSpec cannot be an empty string"))
    elif text is not None and len(text.encode()) > _MAX_SPEC_KIB << 10:
        detail = f"gmsaCredentialSpec size must be under {_MAX_SPEC_KIB} KiB"
        found.append(field.invalid(where, text, detail))
    user = options.get("runAsUserName")
    if user is None:
        return found
    return found + [field.invalid(f"{path}.runAsUserName", user, detail) for detail in _user(user)]


def _user(text: str) -> list[str]:
    if not text:
        return ["runAsUserName cannot be an empty string"]
    if re.search(r"[\x00-\x1f\x7f]", text):
        return ["runAsUserName cannot contain control characters"]
    parts = text.split("\\")
    if len(parts) > 2:
        return ["runAsUserName cannot contain more than one backslash"]
    found, domain, name = list[str](), parts[0] if len(parts) == 2 else None, parts[-1]
    if domain is not None and len(domain.encode()) >= _MAX_DOMAIN:
        found.append(f"runAsUserName's Domain length must be under {_MAX_DOMAIN} characters")
    if domain is not None and not (_NET_BIOS.fullmatch(domain) or _DOMAIN.fullmatch(domain)):
        found.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not name:
        found.append("runAsUserName's User cannot be empty")
    elif len(name.encode()) > _MAX_USER:
        found.append(f"runAsUserName's User length must not be longer than {_MAX_USER} characters")
    if re.fullmatch(r"[. ]+", name):
        found.append("runAsUserName's User cannot contain only periods or spaces")
    if _BAD_USER.search(name):
        found.append("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    return found
