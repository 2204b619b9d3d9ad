"""Image references: parse and normalize as Docker and Kubernetes do. Pure.

Source: github.com/distribution/reference, reference.go (grammar) and normalize.go (defaults).
"""

import dataclasses
import re
from typing import Self

from cri.images import errors

DEFAULT_REGISTRY = "docker.io"
_NAME_BYTES_MAX = 255  # reference.go: NameTotalLengthMax

_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?")
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A normalized reference; tag or digest may be empty, not both.

    >>> str(Reference.parse("busybox"))
    'docker.io/library/busybox:latest'
    >>> Reference.parse("localhost:5000/a/b:1").registry
    'localhost:5000'
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; without tag and digest it means `:latest`. Raises ImageError INVALID_ARGUMENT."""
        rest, at, digest = text.partition("@")
        if at and not DIGEST.fullmatch(digest):
            raise errors.invalid(f'cannot parse reference "{text}": invalid digest format')
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            head, tag = rest, ""
        elif not _TAG.fullmatch(tag):
            raise errors.invalid(f'cannot parse reference "{text}": invalid tag format')
        registry, repository = _split_registry(head)
        if not _HOST.fullmatch(registry) or not _REPOSITORY.fullmatch(repository):
            raise errors.invalid(f'cannot parse reference "{text}": invalid reference format')
        if len(registry) + 1 + len(repository) > _NAME_BYTES_MAX:
            raise errors.invalid(f'cannot parse reference "{text[:64]}…": name longer than {_NAME_BYTES_MAX}')
        return cls(registry, repository, tag or ("" if digest else "latest"), digest)

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag

    @property
    def tagged(self) -> str:
        """The entry in repoTags; empty for a reference by digest, whose tag is not verified by anyone."""
        return "" if self.digest else f"{self.name}:{self.tag}"

    def with_digest(self, digest: str) -> str:
        return f"{self.name}@{digest}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    looks_like_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not looks_like_host:
        first, rest = DEFAULT_REGISTRY, name
    if first == "index.docker.io":
        first = DEFAULT_REGISTRY
    if first == DEFAULT_REGISTRY and "/" not in rest:
        rest = "library/" + rest
    return first, rest
