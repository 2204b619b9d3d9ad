"""The examples in the text hold."""

import doctest

from nanokube.controllers import job_indexes


def test_examples_hold() -> None:
    assert doctest.testmod(job_indexes).failed == 0
