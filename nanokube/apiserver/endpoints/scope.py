"""One resource request on its way through an endpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nanokube.api import cbor, errors, jsonkeys, protobuf, replicas, schema, selectors
from nanokube.api.resources import Resource
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.cache import fields
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.endpoints import negotiate, owners, unrecognized, yaml_body
from nanokube.apiserver.extensions import selectable
from nanokube.apiserver.registry import call as calls
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry
from nanokube.apiserver.requestinfo import RequestInfo, is_asked
from nanokube.kit.http.message import Request

if TYPE_CHECKING:
    from nanokube.api.custom.kind import CustomKind

_OPTIONS: Final = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


@dataclass(slots=True)
class Scope:
    """What every endpoint is given."""

    registry: Registry
    request: Request
    info: RequestInfo
    resource: Resource
    user: User

    def call(self, *, is_dry_run: bool | None = None) -> Call:
        """Read the options of a write from the query. Raises ApiError."""
        query = self.request.query
        if is_dry_run is None:
            if query.raw:
                calls.check_options(_OPTIONS.get(self.info.verb, "CreateOptions"), query)
            is_dry_run = bool(query.getall("dryRun"))
        return Call(
            user=self.user,
            resource=self.resource,
            namespace=self.info.namespace if self.resource.namespaced else "",
            name=self.info.name,
            subresource=self.info.subresource,
            is_dry_run=is_dry_run,
            manager=calls.manager_of(query, self.request.headers.get("user-agent")),
            field_validation=query.get("fieldValidation") or "Warn",
            is_forced=is_asked(query, "force"),
            options=calls.options_of(query) if query.raw else calls.NO_OPTIONS,
        )

    def form(self) -> negotiate.Form:
        """Read how to answer an object that has no Table. Raises ApiError (406)."""
        return negotiate.form_of(self.request.headers.get("accept"), False)

    def selection(self) -> Selection:
        """Read namespace and selectors. Raises ApiError."""
        query = self.request.query
        try:
            labels = selectors.parse_labels(query.get("labelSelector"))
            wanted = selectors.parse_fields(query.get("fieldSelector"))
        except ValueError as err:
            raise errors.bad_request(str(err)) from err
        custom = self.resource.custom
        for label, _, _ in wanted.terms:
            refusal = (fields if custom is None else selectable).refusal(self.resource, label)
            if refusal:
                raise errors.bad_request(refusal)
        renamed = wanted
        if custom is None:
            terms = tuple((fields.canonical(p), eq, v) for p, eq, v in wanted.terms)
            renamed = selectors.FieldSelector(terms)
        namespace = self.info.namespace if self.resource.namespaced else ""
        return Selection(namespace, renamed.exact("metadata.name") or "", labels, renamed)

    def decode(self, call: Call, group: str, version: str, kind: str, *, twin: str = "") -> dict[str, Any]:
        """Read the body as one kind, checked and pruned. Raises ApiError (400, 415).

        twin: an older apiVersion, of the same fields, which is taken for this one.
        """
        try:
            with _explained(version, kind):
                return self._decode(call, group, version, kind, twin)
        except errors.ApiError as err:
            refused = unrecognized.refusal(self.request, (group, version, kind), err)
            if refused is None:
                raise
            raise refused from err

    def _decode(self, call: Call, group: str, version: str, kind: str, twin: str) -> dict[str, Any]:
        found = schema.get(group, version, kind)
        if found is None:
            raise errors.internal(f"no schema for {group}/{version} {kind}")
        body = self.request.body
        media = negotiate.body_media(self.request.headers.get("content-type"))
        if media == negotiate.YAML:
            tree, duplicates = yaml_body.parse(body)
            obj, problems = found.clean(tree if isinstance(tree, dict) else {})
            warnings = schema.report([*problems, *duplicates], call.field_validation)
        elif media == negotiate.PROTOBUF:
            obj, warnings = found.clean(protobuf.decode(body))[0], []
        elif media == negotiate.CBOR:
            tree = cbor.decode(body)
            obj, problems = found.clean(tree if isinstance(tree, dict) else {})
            warnings = schema.report(problems, call.field_validation)
        elif body.strip() == b"null":  # an object without fields, as in Go
            obj, warnings = found.decode(b"{}", call.field_validation)
        elif self.info.verb == "create" and (group, version, kind) == replicas.KIND:
            obj, warnings, call.sent = replicas.decode(body, call.field_validation)
        else:
            obj, warnings = found.decode(body, call.field_validation)
        call.warnings += warnings
        if twin and obj.get("apiVersion") == twin:
            del obj["apiVersion"]
        self.check_kind(obj, f"{group}/{version}" if group else version, kind)
        return obj

    def _decode_custom(self, call: Call, kind: CustomKind) -> dict[str, Any]:
        """Read the body as a custom resource, pruned. Raises ApiError (400, 415)."""
        body, found = self.request.body, self.request.headers.get("content-type")
        media = negotiate.body_media(found)
        if not body:
            raise errors.bad_request("the body of the request is empty")
        duplicates: list[str] = []
        if media == negotiate.YAML:
            tree, duplicates = yaml_body.parse(body)
        elif media == negotiate.JSON:
            tree = schema.decode_json(body)
            if call.field_validation != schema.IGNORE:
                duplicates = [f'duplicate field "{path}"' for path in jsonkeys.duplicates(body)]
        elif media == negotiate.CBOR:
            tree = cbor.decode(body)
        else:
            raise errors.unsupported_media_type((negotiate.JSON, negotiate.YAML, negotiate.CBOR))
        refused = unrecognized.of_custom(tree, self.resource, body)
        if refused is not None:
            raise refused
        self.check_kind(tree, self.resource.api_version, self.resource.kind)
        obj, problems = kind.clean(tree)
        call.warnings += schema.report([*duplicates, *problems], call.field_validation)
        return obj

    def check_kind(self, obj: dict[str, Any], api_version: str, kind: str) -> None:
        """Demand apiVersion and kind, where given, and fill them in. Raises ApiError (400)."""
        said = (obj.get("apiVersion") or api_version, obj.get("kind") or kind)
        if said[0] != api_version:
            raise errors.bad_request(
                f"the API version in the data ({said[0]}) does not match the expected API version "
                f"({api_version})"
            )
        if said[1] != kind:
            raise errors.bad_request(
                f"converting ({said[0]}.{said[1]}) to ({api_version}.{kind}): unknown conversion"
            )
        obj["apiVersion"], obj["kind"] = api_version, kind

    def named_object(self, call: Call) -> dict[str, Any]:
        """Read the body as what is to replace the object that the path names. Raises ApiError (400, 415)."""
        obj = self.body_object(call)
        check_named(call, obj)
        if not obj["metadata"].get("managedFields") and self._resets_managers():
            obj["metadata"]["managedFields"] = []
        return obj

    def _resets_managers(self) -> bool:
        """Tell whether the body says that nobody manages anything, by an empty list, which pruning drops."""
        body = self.request.body
        if b"managedFields" not in body:
            return False
        tree = negotiate.parse(body, self.request.headers.get("content-type"))
        metadata = tree.get("metadata") if isinstance(tree, dict) else None
        return isinstance(metadata, dict) and metadata.get("managedFields") == []

    def check_namespace(self, obj: Mapping[str, Any]) -> None:
        """Demand that an object posted to a subresource is of the path's namespace. Raises ApiError (400)."""
        said = (obj.get("metadata") or {}).get("namespace") or self.info.namespace
        if said != self.info.namespace:
            raise errors.misplaced()

    def body_object(self, call: Call) -> dict[str, Any]:
        """Read the body as the resource's own kind."""
        obj = self._body_object(call)
        call.warn(owners.once(obj))
        return obj

    def _body_object(self, call: Call) -> dict[str, Any]:
        if self.resource.custom is not None:
            with _explained(self.resource.version, self.resource.kind):
                return self._decode_custom(call, self.resource.custom)
        return self.decode(call, self.resource.group, self.resource.version, self.resource.kind)


def check_named(call: Call, obj: Mapping[str, Any]) -> None:
    """Demand that what is to replace an object is of its namespace and name. Raises ApiError (400)."""
    metadata = obj.get("metadata") or {}
    if call.resource.namespaced and metadata.get("namespace", call.namespace) not in ("", call.namespace):
        raise errors.misplaced()
    name = metadata.get("name")
    if not name:
        raise errors.nameless(call.name)
    if name != call.name:
        raise errors.misnamed(name, call.name)


@contextlib.contextmanager
def _explained(version: str, kind: str) -> Iterator[None]:
    """Say of which kind a body was to be that has unknown fields."""
    try:
        yield
    except errors.ApiError as err:
        if not err.message.startswith(schema.STRICT_ERROR):
            raise
        said = f'{kind} in version "{version}" cannot be handled as a {kind}: {err.message}'
        raise errors.bad_request(said) from err
