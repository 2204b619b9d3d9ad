"""get and list.

Source: staging apiserver pkg/endpoints/handlers/get.go, pkg/storage/continue.go, apimachinery
pkg/apis/meta/internalversion/validation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from nanokube.api import errors, field
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.endpoints import continue_token, list_options, negotiate, render, respond
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.extensions import selectable
from nanokube.apiserver.extensions.convert import NotReady
from nanokube.kit.http.message import Answer, Response
from nanokube.storage.store import Compacted, FutureRevision


def get(scope: Scope) -> Answer | Awaitable[Answer]:
    """Answer one object."""
    accept = scope.request.headers.get("accept")
    form = negotiate.form_of(accept, True)
    key = f"{scope.info.namespace}/{scope.info.name}" if scope.resource.namespaced else scope.info.name
    item = scope.registry.caches.of(scope.resource.storage_name).find(key)
    if scope.request.query.raw:
        _demand(scope.request.query.get("resourceVersion"), scope.registry.caches.revision)
    if item is None:
        raise errors.not_found(scope.resource, scope.info.name)
    if form.shape:
        negotiate.check_shape(accept, form, scope.resource, is_list=False)
    if scope.resource.custom is not None:
        return _get_custom(scope, item, form)
    return _answer(scope, item, form)


def _demand(version: str, now: int) -> None:
    """Refuse a version that is none, or is not reached yet. Raises ApiError (400, 504)."""
    wanted = revision_of(version)
    if wanted > now:
        raise _too_large(wanted, now)


def _answer(scope: Scope, item: Item, form: negotiate.Form) -> Response:
    include = render.include_object(scope.request.query.get("includeObject"), form)
    body = render.one(scope.resource, item, form, scope.registry.clock.time(), include)
    return respond.encoded(scope.request, [body], form)


def _get_custom(scope: Scope, item: Item, form: negotiate.Form) -> Answer | Awaitable[Answer]:
    """Answer a custom resource: at once, unless a webhook must convert it."""
    try:
        return _answer(scope, scope.registry.converter.show(scope.resource, item), form)
    except NotReady:
        return _get_converted(scope, item, form)


async def _get_converted(scope: Scope, item: Item, form: negotiate.Form) -> Answer:
    return _answer(scope, await scope.registry.shown(scope.resource, item), form)


@dataclass(frozen=True, slots=True)
class Page:
    """What a list asks for. revision 0: now; start: key of the first object."""

    limit: int
    revision: int
    start: str
    is_exact: bool


async def list_(scope: Scope) -> Answer:
    """Answer the objects selected."""
    accept = scope.request.headers.get("accept")
    form = negotiate.form_of(accept, True)
    items, metadata = await selected(scope)
    if form.shape:
        negotiate.check_shape(accept, form, scope.resource, is_list=True)
    include = render.include_object(scope.request.query.get("includeObject"), form)
    parts = render.many(scope.resource, items, metadata, form, scope.registry.clock.time(), include)
    return respond.encoded(scope.request, parts, form)


async def selected(scope: Scope) -> tuple[Sequence[Item], dict[str, Any]]:
    """Read what the options of a request select, and the metadata of such a list. Raises ApiError."""
    list_options.check(scope.request.query)
    selection = scope.selection()
    page = _page(scope)
    items, revision = await _select(scope, selection, page)
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if page.limit and len(items) > page.limit:
        rest = len(items) - page.limit
        items = items[: page.limit]
        metadata["continue"] = continue_token.encode(revision, items[-1].key + "\0")
        if selection.is_plain:
            metadata["remainingItemCount"] = rest
    return items, metadata


async def _select(scope: Scope, selection: Selection, page: Page) -> tuple[Sequence[Item], int]:
    """Read from the cache, or from the store where the past is meant and something has changed since."""
    registry = scope.registry
    cache = registry.cache(scope.resource)
    now = registry.caches.revision
    if page.revision > now:
        raise _too_large(page.revision, now)
    if page.is_exact and page.revision < scope.registry.store.compacted:
        raise _expired(page)  # even if nothing of the kind has changed: a token must not live for ever
    if not page.is_exact or not page.revision or cache.changed <= page.revision:
        revision = page.revision if page.is_exact else now
        if scope.resource.custom is not None:
            return await registry.select(scope.resource, selection, page.start), revision
        return cache.select(selection, page.start), revision
    try:
        past = await scope.registry.caches.past(
            scope.resource.storage_name, selection.namespace, page.revision
        )
    except FutureRevision as err:
        raise _too_large(page.revision, err.current) from err
    except Compacted as err:
        raise _expired(page) from err
    past = [item for item in past if item.key >= page.start]
    if scope.resource.custom is not None:
        found = await registry.converter.show_all(scope.resource, past)
        return selectable.filtered(scope.resource, selection, found), page.revision
    return [item for item in past if selection.matches(item, cache.read_fields)], page.revision


def _expired(page: Page) -> errors.ApiError:
    if not page.start:
        return errors.expired(f"The resourceVersion for the provided list is too old: {page.revision}")
    return errors.expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new "
        "list without the continue parameter, or use the continue token in this response to retrieve the "
        "remainder of the results. Continuing with the provided token results in an inconsistent list - "
        "objects that were created, modified, or deleted between the time the first chunk was returned and "
        "now may show up in the list.",
        continue_token.encode(-1, page.start),
    )


def _too_large(wanted: int, current: int) -> errors.ApiError:
    err = errors.timeout(f"Too large resource version: {wanted}, current: {current}", 1)
    err.details["causes"] = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return err


def _page(scope: Scope) -> Page:
    query = scope.request.query
    limit = int(query.get("limit") or 0)
    match = query.get("resourceVersionMatch")
    token = query.get("continue")
    version = revision_of(query.get("resourceVersion"))
    if token:
        revision, start = continue_token.decode(token)
        if query.get("resourceVersion") not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        return Page(max(limit, 0), max(revision, 0), start, revision > 0)
    if query.get("resourceVersion") == "0":
        limit = 0  # any version will do: upstream's cache gives the whole list
    is_exact = match == "Exact" or (limit > 0 and version > 0 and not match)
    return Page(max(limit, 0), version, "", is_exact)


def revision_of(text: str) -> int:
    """Read a resourceVersion option; "" is 0. Raises ApiError (400)."""
    if not text:
        return 0
    cause = ""
    if not text.isascii() or not text.isdigit():
        cause = "invalid syntax"
    elif len(text) > 20 or int(text) >= 1 << 64:
        cause = "value out of range"
    if cause:
        said = field.quote(text)
        where = f"resourceVersion: Invalid value: {said}: strconv.ParseUint: parsing {said}"
        raise errors.bad_request(f"invalid resource version: {where}: {cause}")
    return int(text)
