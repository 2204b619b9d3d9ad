"""Which paths and methods the built-in resources have: 404 for no such path, 405 for another method. Pure.

Source: staging apiserver pkg/endpoints/installer.go (registerResourceHandlers), whose routes these are.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import errors
from nanokube.api.resources import Resource
from nanokube.apiserver.requestinfo import RequestInfo

_READS: Final = ("list", "watch")
_NO_NAMES: Final = (".", "..")  # which clients and proxies would take out of a path
_COLLECTION: Final = (*_READS, "create", "deletecollection")


def check(resource: Resource, info: RequestInfo, method: str) -> None:
    """Refuse what no route is for, or of a name that nothing can have. Raises ApiError (400, 404, 405)."""
    is_named = bool(info.name) and info.verb not in _READS
    if not _is_path(resource, info, is_named):
        raise errors.no_such_path()
    if is_named and info.name in _NO_NAMES:
        raise errors.bad_request(f"Name parameter invalid: \"{info.name}\": may not be '{info.name}'")
    if info.subresource:
        return
    is_read, is_whole = info.verb in _READS, resource.namespaced and not info.namespace
    if method == "HEAD" or (is_read and method != "GET") or (is_whole and not is_read):
        raise errors.no_such_method()
    if is_named == (info.verb in _COLLECTION) or info.verb not in resource.verbs:
        raise errors.no_such_method()


def _is_path(resource: Resource, info: RequestInfo, is_named: bool) -> bool:
    if info.subresource:
        return (not info.rest or info.subresource == "proxy") and info.verb != "watch"
    if resource.namespaced and not info.namespace:
        return not is_named and "list" in resource.verbs
    if info.namespace and not resource.namespaced and resource.name != "namespaces":
        return False
    return resource.is_stored or not is_named
