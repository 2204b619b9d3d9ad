import pytest

from nanokube.api import errors
from nanokube.apiserver.endpoints import list_options
from nanokube.kit.http.message import Query

MATCH = "resourceVersionMatch: "
UNLESS = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
UNLESS_INITIAL = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
CONTINUED = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
INITIAL = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"
NEEDS = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"


@pytest.mark.parametrize(
    ("query", "causes"),
    [
        ("", []),
        ("resourceVersionMatch=Exact", [MATCH + UNLESS]),
        ("resourceVersionMatch=Exact&continue=x", [MATCH + UNLESS, MATCH + CONTINUED]),
        (
            "resourceVersionMatch=Nope&resourceVersion=5",
            [MATCH + 'Unsupported value: "Nope": supported values: "Exact", "NotOlderThan", ""'],
        ),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=0", []),
        (
            "sendInitialEvents=false",
            [INITIAL],
        ),
        ("watch=1&sendInitialEvents=true", [MATCH + NEEDS]),
        ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", []),
        ("watch=1&continue=x", [MATCH + CONTINUED]),
        ("watch=1&continue=x&resourceVersion=0", [MATCH + CONTINUED]),
        ("watch=1&continue=x&resourceVersion=5", []),
        (
            "watch=&resourceVersionMatch=NotOlderThan&continue=x",
            [MATCH + UNLESS_INITIAL, MATCH + CONTINUED],
        ),
        (
            "sendInitialEvents=&resourceVersionMatch=NotOlderThan",
            [MATCH + UNLESS, INITIAL],
        ),
    ],
)
def test_what_goes_together(query: str, causes: list[str]) -> None:
    if not causes:
        list_options.check(Query(query))
        return
    with pytest.raises(errors.ApiError) as refused:
        list_options.check(Query(query))
    assert (refused.value.code, refused.value.details["kind"]) == (422, "ListOptions")
    found = [f"{cause['field']}: {cause['message']}" for cause in refused.value.details["causes"]]
    assert found == causes


@pytest.mark.parametrize("query", ["limit=x", "limit=1.5", "limit=99999999999999999999", "timeoutSeconds=x"])
def test_numbers(query: str) -> None:
    with pytest.raises(errors.ApiError, match=r"strconv.ParseInt: parsing .*: (invalid syntax|value out)"):
        list_options.check(Query(query))
    list_options.check(Query("limit=-1&timeoutSeconds=-1"))


@pytest.mark.parametrize(
    ("query", "wants"),
    [
        ("", None),
        ("watch=1", True),
        ("watch=1&resourceVersion=0", True),
        ("watch=1&resourceVersion=5", None),
        ("watch=1&sendInitialEvents=false", False),
        ("sendInitialEvents=true&resourceVersion=5", True),
    ],
)
def test_a_watch_from_no_version_begins_with_what_exists(query: str, wants: bool | None) -> None:
    assert list_options.wants_initial(Query(query)) is wants
