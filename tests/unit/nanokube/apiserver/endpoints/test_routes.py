import pytest

from nanokube.api import errors, resources
from nanokube.apiserver.endpoints import routes
from nanokube.apiserver.requestinfo import parse
from nanokube.kit.http.message import Headers, Peer, Request

NAMESPACED = "/api/v1/namespaces/d"
ACCESS = "/apis/authorization.k8s.io/v1"


def code(method: str, path: str) -> int:
    """Tell what the check answers; 0 if the path goes on to an endpoint."""
    info = parse(Request(method, path, Headers(()), b"", Peer("192.0.2.1", 1, None)))
    resource = next(r for r in resources.ALL if (r.group, r.plural) == (info.group, info.resource))
    try:
        routes.check(resource, info, method)
    except errors.ApiError as err:
        return err.code
    return 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [  # GET HEAD POST PUT PATCH DELETE, as kube-apiserver answers them
        (f"{NAMESPACED}/configmaps", (0, 405, 0, 405, 405, 0)),
        (f"{NAMESPACED}/configmaps/x", (0, 405, 405, 0, 0, 0)),
        ("/api/v1/configmaps", (0, 405, 405, 405, 405, 405)),
        ("/api/v1/configmaps/x", (404, 404, 404, 404, 404, 404)),
        (NAMESPACED, (0, 405, 405, 0, 0, 0)),
        (f"{NAMESPACED}/nodes", (404, 404, 404, 404, 404, 404)),
        (f"{NAMESPACED}/bindings", (405, 405, 0, 405, 405, 405)),
        (f"{NAMESPACED}/bindings/x", (404, 404, 404, 404, 404, 404)),
        ("/api/v1/bindings", (404, 404, 404, 404, 404, 404)),
        (f"{ACCESS}/selfsubjectaccessreviews", (405, 405, 0, 405, 405, 405)),
        (f"{ACCESS}/selfsubjectaccessreviews/x", (404, 404, 404, 404, 404, 404)),
        (f"{NAMESPACED}/pods/p/status/x", (404, 404, 404, 404, 404, 404)),
        (f"{NAMESPACED}/pods/%2e%2e", (400, 400, 400, 400, 400, 400)),
        (f"{NAMESPACED}/pods/p/proxy/x", (0, 0, 0, 0, 0, 0)),
    ],
)
def test_paths_and_methods(path: str, expected: tuple[int, ...]) -> None:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    assert tuple(code(method, path) for method in methods) == expected
