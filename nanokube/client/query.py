"""Query strings of requests. Pure."""


def of(**options: str | int | bool | None) -> dict[str, str]:
    """Give the query parameters that are set; `_` in a name becomes camelCase, a trailing `_` is dropped.

    >>> of(label_selector="a=b", limit=0, continue_="", allow_watch_bookmarks=True)
    {'labelSelector': 'a=b', 'allowWatchBookmarks': 'true'}
    """
    return {
        _camel(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
        if value
    }


def _camel(name: str) -> str:
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)
