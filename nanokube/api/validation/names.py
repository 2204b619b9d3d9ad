"""Formats of names, labels, keys, ports, and what to say about a text that is not one. Pure.

Each function returns messages, none if the text is well-formed. Source:
apimachinery/pkg/util/validation/validation.go.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_LOOSE_LABEL: Final = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_LOOSE_SUBDOMAIN: Final = rf"{_LOOSE_LABEL}(\.{_LOOSE_LABEL})*"
_DNS1035: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE: Final = f"({_QUALIFIED})?"
_CONFIG_KEY: Final = "[-._a-zA-Z0-9]+"
_HTTP_HEADER: Final = "[-A-Za-z0-9]+"
_PERCENT: Final = "[0-9]+%"

MAX_LABEL: Final = 63
MAX_SUBDOMAIN: Final = 253
_ALNUM_ENDS: Final = "must start and end with an alphanumeric character"
_SUBDOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    f"and {_ALNUM_ENDS}"
)
_LABEL_RULE: Final = (
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and {_ALNUM_ENDS}"
)
_DNS1035_RULE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character"
)
_QUALIFIED_RULE: Final = f"must consist of alphanumeric characters, '-', '_' or '.', and {_ALNUM_ENDS}"
_LABEL_VALUE_RULE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    f"and {_ALNUM_ENDS}"
)


def regex_error(rule: str, regex: str, *examples: str) -> str:
    """Say which expression a text must match."""
    shown = " or ".join(f"'{e}', " for e in examples)
    return f"{rule} (e.g. {shown}regex used for validation is '{regex}')"


def max_length(limit: int, unit: str = "characters") -> str:
    """Say how long a text may be; upstream counts labels in bytes, names in characters, but means bytes."""
    return f"must be no more than {limit} {unit}"


def between(low: int, high: int) -> str:
    """Say in which range a number must be."""
    return f"must be between {low} and {high}, inclusive"


def _check(
    text: str, limit: int, regex: str, rule: str, *examples: str, unit: str = "characters"
) -> list[str]:
    found = [max_length(limit, unit)] if len(text) > limit else []
    if re.fullmatch(regex, text) is None:
        found.append(regex_error(rule, regex, *examples))
    return found


@lru_cache(maxsize=4096)
def dns_label(text: str) -> list[str]:
    """Check a DNS label as of RFC 1123."""
    if re.fullmatch(_LABEL, text):
        return [max_length(MAX_LABEL)] if len(text) > MAX_LABEL else []
    if re.fullmatch(_SUBDOMAIN, text):
        found = [max_length(MAX_LABEL)] if len(text) > MAX_LABEL else []
        return [*found, "must not contain dots"]
    return _check(text, MAX_LABEL, _LABEL, _LABEL_RULE, "my-name", "123-abc")


@lru_cache(maxsize=4096)
def dns_subdomain(text: str) -> list[str]:
    """Check a DNS subdomain as of RFC 1123."""
    return _check(text, MAX_SUBDOMAIN, _SUBDOMAIN, _SUBDOMAIN_RULE, "example.com")


def dns_subdomain_prefix(text: str) -> list[str]:
    """Check what a DNS subdomain may begin with: the last dash is taken for the letter to come."""
    return dns_subdomain(f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text)


def loose_subdomain(text: str) -> list[str]:
    """Check a DNS subdomain whose labels may have underscores, as search domains do."""
    return _check(text, MAX_SUBDOMAIN, _LOOSE_SUBDOMAIN, _SUBDOMAIN_RULE, "example.com")


@lru_cache(maxsize=4096)
def dns1035_label(text: str) -> list[str]:
    """Check a label that starts with a letter, as the names of Services do."""
    return _check(text, MAX_LABEL, _DNS1035, _DNS1035_RULE, "my-name", "abc-123")


@lru_cache(maxsize=4096)
def qualified_name(text: str) -> list[str]:
    """Check a label or annotation key: an optional prefix, a slash, a name."""
    parts, found = text.split("/"), list[str]()
    if len(parts) == 2:
        if not parts[0]:
            found.append("prefix part must be non-empty")
        else:
            found += (f"prefix part {m}" for m in dns_subdomain(parts[0]))
    elif len(parts) > 2:
        rule = f"a valid label key {_QUALIFIED_RULE}"
        shown = regex_error(rule, _QUALIFIED, "MyName", "my.name", "123-abc")
        return [f"{shown} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    name = parts[-1]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > MAX_LABEL:
        found.append(f"name part {max_length(MAX_LABEL, 'bytes')}")
    if re.fullmatch(_QUALIFIED, name) is None:
        found.append("name part " + regex_error(_QUALIFIED_RULE, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return found


@lru_cache(maxsize=4096)
def label_value(text: str) -> list[str]:
    """Check the value of a label."""
    return _check(
        text, MAX_LABEL, _LABEL_VALUE, _LABEL_VALUE_RULE, "MyValue", "my_value", "12345", unit="bytes"
    )


def config_key(text: str) -> list[str]:
    """Check a key of a ConfigMap or Secret, which becomes a file name."""
    rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    found = [max_length(MAX_SUBDOMAIN)] if len(text) > MAX_SUBDOMAIN else []
    if re.fullmatch(_CONFIG_KEY, text) is None:
        found.append(regex_error(rule, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if text in (".", ".."):
        found.append(f"must not be '{text}'")
    elif text.startswith(".."):
        found.append("must not start with '..'")
    return found


def env_name(text: str) -> list[str]:
    """Check the name of an environment variable."""
    if not text:
        return ["environment variable name must be non-empty"]
    if all(" " <= c <= "~" and c != "=" for c in text):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
    ]


def port_name(text: str) -> list[str]:
    """Check the name of a container port (IANA service name, RFC 6335)."""
    found = [max_length(15)] if len(text) > 15 else []
    if re.fullmatch("[-a-z0-9]+", text) is None:
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if re.search("[a-z]", text) is None:
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text[:1] == "-" or text[-1:] == "-":
        found.append("must not begin or end with a hyphen")
    return found


def port_number(port: int) -> list[str]:
    """Check the number of a port."""
    return [] if 1 <= port <= 65535 else [between(1, 65535)]


def http_header(text: str) -> list[str]:
    """Check the name of an HTTP header."""
    rule = "a valid HTTP header must consist of alphanumeric characters or '-'"
    if re.fullmatch(_HTTP_HEADER, text):
        return []
    return [regex_error(rule, _HTTP_HEADER, "X-Header-Name")]


def percent(text: str) -> list[str]:
    """Check a percentage."""
    rule = "a valid percent string must be a numeric string followed by an ending '%'"
    return [] if re.fullmatch(_PERCENT, text) else [regex_error(rule, _PERCENT, "1%", "93%")]


def ip_address(text: str) -> list[str]:
    """Check an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text) and _is_address(
            re.sub(r"(^|\.)0+(?=[0-9])", r"\1", text)
        ):
            return ["must not have leading 0s"]
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
