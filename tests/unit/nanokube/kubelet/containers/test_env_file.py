"""Files of variables, as upstream's parser takes them."""

import pytest

from nanokube.kubelet.containers import env_file

TEXT = """
# comment
  A='1'
B='two words' # why
C='x
 y'
D= 'no'
A='later'
E=''
"""


@pytest.mark.parametrize(
    ("key", "found"),
    [("A", "1"), ("B", "two words"), ("C", "x\n y"), ("D", ""), ("E", ""), ("none", "")],
)
def test_values_stand_in_single_quotes(key: str, found: str) -> None:
    assert env_file.value(TEXT, key) == found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A", "line 1 has no '='"),
        ("\nA ='1'", "line 2 has no name before its '='"),
        ("='1'", "line 1 has no name"),
        ("A=1", "the value at line 1 is not in single quotes"),
        ("A=", "the value at line 1 is not in single quotes"),
        ("A='1\n\n", "the quote at line 1 is not closed"),
        ("A='1' 2", "something stands after the value of line 1"),
        ("A='1\n2'3", "something stands after the value of line 1"),
    ],
)
def test_what_is_wrong_before_the_variable_is_told(text: str, fault: str) -> None:
    with pytest.raises(env_file.EnvFileError, match=fault):
        env_file.value(text, "Z")


def test_what_is_wrong_after_the_variable_does_not_matter() -> None:
    assert env_file.value("A='1'\nB", "A") == "1"
