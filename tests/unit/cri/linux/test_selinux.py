"""The files in which a policy names its contexts for containers."""

from __future__ import annotations

from cri.linux import selinux


def test_names_are_read_with_quotes_and_without() -> None:
    text = '# comment\nprocess = "u:r:container_t:s0"\n\nfile="u:object_r:container_file_t:s0"\n'
    text += "SELINUXTYPE=default\n"
    assert selinux.entries(text) == {
        "process": "u:r:container_t:s0",
        "file": "u:object_r:container_file_t:s0",
        "SELINUXTYPE": "default",
    }
