"""Content negotiation: which form and encoding of an answer the Accept header asks for; bodies by type. Pure.

Source: staging apiserver pkg/endpoints/handlers/negotiation; RFC 9110 12.5.1 (quality values are not used
by clients of this API; order decides, as upstream).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import cbor, errors, protobuf, schema
from nanokube.api.resource import Resource
from nanokube.apiserver.endpoints import yaml_body

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
CBOR: Final = "application/cbor"
CBOR_SEQUENCE: Final = "application/cbor-seq"  # what a watch in CBOR sends
_META: Final = "meta.k8s.io"
_META_VERSIONS: Final = ("v1", "v1beta1")
_SHAPES: Final = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_SUPPORTED: Final = (JSON, YAML, PROTOBUF, CBOR)
_BINARY: Final = (PROTOBUF, CBOR)
_STREAMED: Final = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch", CBOR_SEQUENCE)


@dataclass(frozen=True, slots=True)
class Form:
    """How to answer. shape: "" the object itself, Table, PartialObjectMetadata (lists too), of `version`."""

    media: str = JSON
    shape: str = ""
    version: str = "v1"


OBJECT: Final = Form()


@functools.lru_cache(maxsize=256)
def form_of(accept: str, allows_shapes: bool) -> Form:
    """Choose a form. Raises ApiError (406).

    Protobuf and CBOR are answered only to those who accept nothing else: stored bytes are JSON and go out
    as they are.
    """
    if accept in ("", "*/*", JSON):
        return OBJECT
    found = [form for clause in accept.split(",") if (form := _form(clause, allows_shapes)) is not None]
    if not found:
        raise errors.not_acceptable(_SUPPORTED)
    chosen = next((form for form in found if form.media not in _BINARY), found[0])
    return OBJECT if chosen == OBJECT else chosen


@functools.lru_cache(maxsize=256)
def check_route(accept: str, *, may_stream: bool) -> None:
    """Demand a media type that a route has, as upstream's router before anything else. Raises ApiError (406).

    may_stream: the path is a collection's, of which there are watches.
    """
    if not accept or any(_media(each.partition(";")[0].strip().lower()) for each in accept.split(",")):
        return
    if may_stream and CBOR_SEQUENCE in accept:
        return
    offered = _SUPPORTED + _STREAMED if may_stream else _SUPPORTED
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(offered)}"
    raise errors.ApiError("NotAcceptable", 406, message, {})


def check_shape(accept: str, form: Form, resource: Resource, *, is_list: bool) -> None:
    """Demand that metadata of one object, or of many, is asked for as what it is. Raises ApiError (406)."""
    if form.shape != "PartialObjectMetadata" or ("PartialObjectMetadataList" in accept) == is_list:
        return
    package, kind = resource.group.partition(".")[0] or "core", resource.kind + "List" * is_list
    asked = form.shape + "List" * (not is_list)
    article = "a list" if is_list else "not a list"
    message = f"you requested {asked}, but the requested object is {article} (*{package}.{kind})"
    raise errors.ApiError("NotAcceptable", 406, message)


def _form(clause: str, allows_shapes: bool) -> Form | None:
    """Read one clause of an Accept header; None if it asks for what there is not."""
    media, *rest = (part.strip() for part in clause.split(";"))
    parameters = dict(p.partition("=")[::2] for p in rest if "=" in p)
    found, shape, version = _media(media.lower()), parameters.get("as", ""), parameters.get("v", "")
    if not found or not shape:
        return Form(found) if found else None
    is_known = shape in _SHAPES and parameters.get("g") == _META and version in _META_VERSIONS
    if not allows_shapes or not is_known or (found in _BINARY and shape == "Table"):
        return None
    return Form(found, shape.removesuffix("List"), version)


def _media(media: str) -> str:
    if media in (JSON, "*/*", "application/*"):
        return JSON
    if media in _BINARY:
        return media
    return YAML if media in (YAML, "application/x-yaml", "text/yaml") else ""


def body_media(content_type: str) -> str:
    """Give the media type of a body; an absent one means JSON. Raises ApiError (415)."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", JSON):
        return JSON
    if media in _BINARY:
        return media
    if media in (YAML, "application/x-yaml", "text/yaml"):
        return YAML
    raise errors.unsupported_media_type(_SUPPORTED)


def parse(body: bytes, content_type: str) -> Any:
    """Parse a body of any media type without a schema. Raises ApiError (400, 415)."""
    media = body_media(content_type)
    if media == YAML:
        return yaml_body.parse(body)[0]
    if media == PROTOBUF:
        return protobuf.decode(body)
    if media == CBOR:
        return cbor.decode(body)
    return schema.decode_json(body)
