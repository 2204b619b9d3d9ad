"""API errors and their `Status` objects. Pure.

Messages and codes are those of apimachinery, because kubectl and client-go print and test them.
Source: staging/src/k8s.io/apimachinery/pkg/api/errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanokube.api.field import FieldError
    from nanokube.api.resources import Resource

# reason -> HTTP status code
CODES: Mapping[str, int] = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Gone": 410,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServerTimeout": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


class ApiError(Exception):
    """A failed request: what a server answers as `Status` and a client raises.

    details: None where upstream tells none; others are told even if nothing is in them.
    warnings: what a server tells besides.
    """

    warnings: Sequence[str] = ()

    def __init__(
        self, reason: str, code: int, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self._is_bare = details is None

    def __repr__(self) -> str:
        return f"ApiError({self.reason!r}, {self.code}, {self.message!r})"

    @property
    def retry_after_s(self) -> int:
        """Seconds after which the server asks to be tried again; 0 if it does not."""
        return int(self.details.get("retryAfterSeconds") or 0)

    def to_status(self) -> dict[str, Any]:
        """Build the v1 `Status` object that describes this error."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(self.details.get("metadata") or {}),
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        details = {k: v for k, v in self.details.items() if k != "metadata" and v}
        if details or not self._is_bare:
            status["details"] = details
        status["code"] = self.code
        return status


def from_status(status: Mapping[str, Any], code: int = 0) -> ApiError:
    """Read an error from a `Status` object; `code` is the HTTP status when the object has none."""
    details = dict(status["details"]) if status.get("details") is not None else None
    continue_token = (status.get("metadata") or {}).get("continue")
    if continue_token:
        details = details or {}
        details["metadata"] = {"continue": continue_token}
    found = int(status.get("code") or code or 500)
    return ApiError(str(status.get("reason") or ""), found, str(status.get("message") or ""), details)


def _build(reason: str, message: str, details: Mapping[str, Any] | None = None) -> ApiError:
    return ApiError(reason, CODES[reason], message, details)


def _about(resource: Resource, name: str = "") -> dict[str, Any]:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiError:
    """404: no such object."""
    return _build("NotFound", f'{resource.name} "{name}" not found', _about(resource, name))


def no_such_path() -> ApiError:
    """404: no such resource or path at all."""
    return _build("NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str, *, is_deleting: bool = False) -> ApiError:
    """409: an object of that name exists. is_deleting: it will not for long."""
    began = "object is being deleted: " if is_deleting else ""
    return _build("AlreadyExists", f'{began}{resource.name} "{name}" already exists', _about(resource, name))


def generate_name_conflict(resource: Resource, name: str) -> ApiError:
    """409: no unique name could be generated."""
    message = (
        f'{resource.name} "{name}" already exists, '
        "the server was not able to generate a unique name for the object"
    )
    return _build("AlreadyExists", message, {**_about(resource, name), "retryAfterSeconds": 1})


def conflict(
    resource: Resource,
    name: str,
    cause: str = (
        "the object has been modified; please apply your changes to the latest version and try again"
    ),
) -> ApiError:
    """409: a precondition (resourceVersion, UID) does not hold."""
    message = f'Operation cannot be fulfilled on {resource.name} "{name}": {cause}'
    return _build("Conflict", message, _about(resource, name))


def apply_conflict(causes: Sequence[Mapping[str, str]], message: str) -> ApiError:
    """409: fields of a server-side apply are owned by other managers. Causes have reason, message, field."""
    return _build("Conflict", message, {"causes": [dict(c) for c in causes]})


def invalid(resource: Resource, name: str, field_errors: Iterable[FieldError], *, kind: str = "") -> ApiError:
    """422: the object breaks rules of its kind. kind: what it is called, if not by its kind."""
    found = list(field_errors)
    causes = [{"reason": e.type, "message": e.body(), "field": e.path} for e in found]
    called = kind or resource.kind
    title = f"{called}.{resource.group}" if resource.group else called
    distinct = list(dict.fromkeys(str(e) for e in found))
    listed = distinct[0] if len(distinct) == 1 else "[" + ", ".join(distinct) + "]"
    message = f'{title} "{name}" is invalid' + (f": {listed}" if found else "")
    details = {"name": name, "group": resource.group, "kind": called, "causes": causes}
    return _build("Invalid", message, details)


def bad_request(message: str) -> ApiError:
    """400: the request itself is malformed."""
    return _build("BadRequest", message)


def misnamed(name: str, path_name: str) -> ApiError:
    """400: the body is of another object than the path."""
    return bad_request(f"the name of the object ({name}) does not match the name on the URL ({path_name})")


def nameless(path_name: str) -> ApiError:
    """400: the body is of no object at all."""
    cause = "was undeterminable: name must be provided"
    return bad_request(f"the name of the object ({path_name} based on URL) {cause}")


def misplaced() -> ApiError:
    """400: the body is of another namespace than the path."""
    return bad_request(
        "the namespace of the provided object does not match the namespace sent on the request"
    )


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """401: no credentials, or wrong ones."""
    return _build("Unauthorized", message)


def forbidden(resource: Resource | None, name: str, cause: str) -> ApiError:
    """403: an authorizer or an admission plugin refuses."""
    if resource is None:
        return _build("Forbidden", f"forbidden: {cause}", {})
    about = f'{resource.name} "{name}"' if name else resource.name
    return _build("Forbidden", f"{about} is forbidden: {cause}", _about(resource, name))


def no_such_method() -> ApiError:
    """405: the path is there for other methods."""
    return _build("MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def method_not_allowed(resource: Resource, action: str) -> ApiError:
    """405: the custom resource does not have that verb."""
    message = f'{action} is not supported on resources of kind "{resource.name}"'
    return _build("MethodNotAllowed", message, _about(resource))


def not_acceptable(supported: Sequence[str]) -> ApiError:
    """406: none of the media types of Accept can be produced."""
    listed = ", ".join(supported)
    return _build("NotAcceptable", f"only the following media types are accepted: {listed}")


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    """415: the request body's media type is not understood."""
    listed = ", ".join(supported)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return _build("UnsupportedMediaType", message)


def expired(message: str, continue_token: str = "") -> ApiError:
    """410: the resource version or continue token is too old; `continue_token` resumes inconsistently."""
    details = {"metadata": {"continue": continue_token}} if continue_token else None
    return _build("Expired", message, details)


def too_old(requested: int, oldest: int) -> ApiError:
    """410: a watch or list from a compacted revision."""
    return expired(f"too old resource version: {requested} ({oldest})")


def request_too_large(message: str) -> ApiError:
    """413: the body exceeds the limit."""
    return _build("RequestEntityTooLarge", f"Request entity too large: {message}")


def too_many_requests(message: str, retry_after_s: int = 1) -> ApiError:
    """429: try again later."""
    return _build("TooManyRequests", message, {"retryAfterSeconds": retry_after_s})


def internal(cause: str) -> ApiError:
    """500: a bug or a failure of ours."""
    details = {"causes": [{"message": cause}]}
    return _build("InternalError", f"Internal error occurred: {cause}", details)


def service_unavailable(message: str) -> ApiError:
    """503: a part that is needed is not ready."""
    return _build("ServiceUnavailable", message)


def timeout(message: str, retry_after_s: int = 0) -> ApiError:
    """504: it took too long; the request may still be processed."""
    return _build("Timeout", f"Timeout: {message}", {"retryAfterSeconds": retry_after_s})


def is_not_found(error: BaseException) -> bool:
    """Tell whether the error says that the object does not exist."""
    return isinstance(error, ApiError) and error.reason == "NotFound"


def is_already_exists(error: BaseException) -> bool:
    """Tell whether the error says that the name is taken."""
    return isinstance(error, ApiError) and error.reason == "AlreadyExists"


def is_conflict(error: BaseException) -> bool:
    """Tell whether the error says that a precondition failed."""
    return isinstance(error, ApiError) and error.reason == "Conflict"
