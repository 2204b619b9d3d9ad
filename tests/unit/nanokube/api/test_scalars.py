"""Where base64 is refused: at the place that a real API server tells."""

from __future__ import annotations

import pytest

from nanokube.api import scalars


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("z", 0),
        ("%%", 0),
        ("YWJ%", 3),
        ("YWJjZ", 4),
        ("Zg=", 3),
        ("Zg=x", 2),
        ("Zg==z", 4),
        ("YQ==YQ==", 4),
        ("YQ==\nYQ==", 5),
        ("YWI=x", 4),
        ("=", 0),
        ("Y===", 1),
    ],
)
def test_where_base64_is_refused(text: str, place: int) -> None:
    with pytest.raises(ValueError, match=f"illegal base64 data at input byte {place}$"):
        scalars.canonical_base64(text)


def test_line_breaks_are_dropped() -> None:
    assert scalars.canonical_base64("Zg==\r\n") == "Zg=="
