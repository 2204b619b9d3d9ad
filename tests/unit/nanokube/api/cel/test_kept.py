"""What expressions name in short is found, and an error once it is forgotten."""

from __future__ import annotations

from collections import OrderedDict
from unittest import mock

import pytest

from nanokube.api.cel.library import kept


def test_what_is_forgotten_is_an_error() -> None:
    with mock.patch.object(kept, "_MOST", 2), mock.patch.object(kept, "_texts", OrderedDict()):
        first = kept.keep_texts(frozenset("a"))
        second = kept.keep_texts(frozenset("b"))
        assert kept.is_one_of("a", first)
        kept.keep_texts(frozenset("c"))
        assert kept.is_one_of("a", first)
        with pytest.raises(ValueError, match="cannot find texts"):
            kept.is_one_of("b", second)


def test_patterns() -> None:
    name = kept.keep_pattern("(?:^a)|(?:b$)")
    assert name is not None
    assert [kept.matches(text, name) for text in ("ax", "xb", "xax")] == [True, True, False]
    assert kept.keep_pattern("(") is None
    with pytest.raises(ValueError, match="no such overload"):
        kept.matches(1, name)
