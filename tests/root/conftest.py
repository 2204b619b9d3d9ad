"""In which order root tests are run: what waits longest comes first, so that the end is not waited for."""

import pytest

_LONG = ("cluster",)  # folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders that take longest first; within one the order stays."""
    items.sort(key=lambda item: _rank(item.path.parent.name))


def _rank(folder: str) -> int:
    return _LONG.index(folder) if folder in _LONG else len(_LONG)
