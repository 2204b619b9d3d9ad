"""Encryption at rest on a whole node: what is on disk, rotation, lost keys, backups."""

import base64
import re
import threading

import pytest

from tests.root.cluster import host

pytestmark = pytest.mark.root

KEYS = "/etc/nanokube/pki/encryption.yaml"
WORD = "correct-horse-battery-staple"
DISK = "cat /var/lib/nanokube/store/cluster.db*"


def on_disk(of: host.Host, word: str) -> bool:
    found = of.run("sh", "-c", f"{DISK} | grep -a -c -F -e '{word}'", check=False)
    return int(found.stdout.strip() or 0) > 0


def password(of: host.Host, name: str = "a") -> str:
    return base64.b64decode(of.get("secret", name)["data"]["password"]).decode()


def names(of: host.Host) -> list[str]:
    return re.findall(r"name: (\S+)", of.run("cat", KEYS).stdout)


def test_secrets_are_encrypted_rotated_and_kept(bare_host: host.Host) -> None:
    bare_host.up()
    bare_host.kubectl("create", "secret", "generic", "a", f"--from-literal=password={WORD}")
    bare_host.kubectl("create", "configmap", "a", f"--from-literal=b={WORD[::-1]}")
    encoded = base64.b64encode(WORD.encode()).decode()
    assert on_disk(bare_host, WORD[::-1])
    assert not on_disk(bare_host, WORD)
    assert not on_disk(bare_host, encoded)
    assert bare_host.run("stat", "-c", "%a", KEYS).stdout.strip() == "600"
    (first,) = names(bare_host)
    assert f"aesgcm key {first}" in bare_host.nanokube("encryption", "status")

    errors = _rotate_under_load(bare_host)
    assert errors == []
    (second,) = names(bare_host)
    assert second != first
    said = bare_host.nanokube("encryption", "status")
    assert second in said
    assert first not in said
    assert password(bare_host) == WORD

    answer = bare_host.run(str(host.NANOKUBE), "backup", "/run/b")
    assert f"cannot be restored without aesgcm key {second}" in answer.stderr
    bare_host.nanokube("down", "--keep-pods")
    bare_host.nanokube("encryption", "rotate")  # the store is at rest, too
    refused = bare_host.run(str(host.NANOKUBE), "restore", "--yes", "/run/b", check=False)
    assert f"aesgcm key {second}, which is not there" in refused.stderr

    bare_host.run("mv", KEYS, "/run/kept.yaml")
    refused = bare_host.run(str(host.NANOKUBE), "up", check=False)
    assert f"{KEYS} is gone, and objects in" in refused.stderr
    bare_host.run("mv", "/run/kept.yaml", KEYS)
    bare_host.up()
    assert password(bare_host) == WORD


def _rotate_under_load(of: host.Host) -> list[str]:
    """Rotate while Secrets are written; what went wrong is returned."""
    errors: list[str] = []
    is_over = threading.Event()

    def write() -> None:
        for count in range(1000):
            if is_over.is_set():
                return
            name = f"w{count}"
            try:
                of.kubectl("create", "secret", "generic", name, f"--from-literal=password={name}")
                assert password(of, name) == name
            except AssertionError as err:
                errors.append(str(err))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        of.nanokube("encryption", "rotate")
    finally:
        is_over.set()
        writer.join()
    return errors
