"""Semantic versions in expressions. Pure.

Source: k8s.io/apiserver/pkg/cel/library/semverlib.go; semver.org, section 11, for order.
"""

from __future__ import annotations

import functools
import re

from nanokube.api.cel.library.opaque import NoSuchOverload, Semver

Version = tuple[int, int, int, tuple[str, ...]]
_MAX = (1 << 64) - 1


def parse(text: str, normalize: bool = False) -> Semver:
    """`semver("1.2.3")`; normalize also takes `v1.2`. Raises ValueError."""
    if not isinstance(text, str) or not isinstance(normalize, bool):
        raise NoSuchOverload
    written = _normalized(text) if normalize else text
    _parse(written)
    return Semver(written)


def is_semver(text: str, normalize: bool = False) -> bool:
    """`isSemver("1.2.3")`."""
    try:
        parse(text, normalize)
    except NoSuchOverload:
        raise
    except ValueError:
        return False
    return True


def major(given: Semver) -> int:
    """`v.major()`."""
    return _read(given)[0]


def minor(given: Semver) -> int:
    """`v.minor()`."""
    return _read(given)[1]


def patch(given: Semver) -> int:
    """`v.patch()`."""
    return _read(given)[2]


def compare(left: Semver, right: Semver) -> int:
    """Order two versions: -1, 0, or 1. Build metadata does not count."""
    a, b = _read(left), _read(right)
    if a[:3] != b[:3]:
        return 1 if a[:3] > b[:3] else -1
    if not a[3] or not b[3]:
        return bool(b[3]) - bool(a[3])  # a release comes after its prereleases
    keys = [
        tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in v[3]) for v in (a, b)
    ]
    return (keys[0] > keys[1]) - (keys[0] < keys[1])


def _read(given: Semver) -> Version:
    if not isinstance(given, Semver):
        raise NoSuchOverload
    return _parse(given.text)


@functools.lru_cache(maxsize=256)
def _parse(text: str) -> Version:
    if not text:
        raise ValueError("Version string empty")
    fields = text.split(".", 2)
    if len(fields) != 3:
        raise ValueError("No Major.Minor.Patch elements found")
    patch_text, plus, build = fields[2].partition("+")
    patch_text, dash, pre = patch_text.partition("-")
    numbers = [
        _number(name, field)
        for name, field in zip(("Major", "Minor", "Patch"), (*fields[:2], patch_text), strict=True)
    ]
    prerelease = tuple(pre.split(".")) if dash else ()
    for part in prerelease:
        _identifier(part, "PreRelease version")
        if part.isdigit() and len(part) > 1 and part[0] == "0":
            raise ValueError(f'Numeric PreRelease version must not contain leading zeroes "{part}"')
    for part in build.split(".") if plus else ():
        _identifier(part, "Build meta data")
    return numbers[0], numbers[1], numbers[2], prerelease


def _number(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]+", text):
        if not text:
            raise ValueError('strconv.ParseUint: parsing "": invalid syntax')
        raise ValueError(f'Invalid character(s) found in {name.lower()} number "{text}"')
    if len(text) > 1 and text[0] == "0":
        raise ValueError(f'{name} number must not contain leading zeroes "{text}"')
    if int(text) > _MAX:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _identifier(text: str, what: str) -> None:
    if not text:
        raise ValueError("Prerelease is empty" if what.startswith("Pre") else "Build meta data is empty")
    if not re.fullmatch("[0-9A-Za-z-]+", text):
        raise ValueError(f'Invalid character(s) found in {what[0].lower()}{what[1:]} "{text}"')


def _normalized(text: str) -> str:
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[index] = stripped if stripped[:1].isdigit() else "0" + stripped
    if len(parts) < 3 and re.search("[+-]", parts[-1]):
        raise ValueError("short version cannot contain PreRelease/Build meta data")
    return ".".join(parts + ["0"] * (3 - len(parts)))
