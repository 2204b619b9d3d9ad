"""Ciphers: what comes back, and what is noticed."""

from collections.abc import Callable

import pytest

from nanokube.storage.encryption import ciphers
from nanokube.storage.encryption.ciphers import AesCbc, AesGcm, Cipher, Derived, Secretbox, Wrong

PLACE = "/registry/secrets/default/a"
ALL: list[Callable[[bytes], Cipher]] = [AesGcm, AesCbc, Secretbox, Derived]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 5000])
def test_what_is_sealed_is_unsealed(make: Callable[[bytes], Cipher], size: int) -> None:
    cipher, plain = make(bytes(32)), b"x" * size
    first, second = cipher.seal(PLACE, plain), cipher.seal(PLACE, plain)
    assert first != second
    assert cipher.unseal(PLACE, first) == cipher.unseal(PLACE, second) == plain


@pytest.mark.parametrize("make", [AesGcm, Secretbox, Derived])
def test_another_key_and_a_change_are_noticed(make: Callable[[bytes], Cipher]) -> None:
    sealed = make(bytes(32)).seal(PLACE, b"{}")
    with pytest.raises(Wrong):
        make(b"1" * 32).unseal(PLACE, sealed)
    with pytest.raises(Wrong):
        make(bytes(32)).unseal(PLACE, sealed[:-1] + bytes([sealed[-1] ^ 1]))


@pytest.mark.parametrize("make", [AesGcm, Derived])
def test_a_value_cannot_be_put_in_anothers_place(make: Callable[[bytes], Cipher]) -> None:
    cipher = make(bytes(32))
    with pytest.raises(Wrong):
        cipher.unseal("/registry/secrets/default/b", cipher.seal(PLACE, b"{}"))


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("size", [0, 1, 12, 16, 31, 32, 44])
def test_what_was_cut_short_is_wrong(make: Callable[[bytes], Cipher], size: int) -> None:
    with pytest.raises(Wrong):
        make(bytes(32)).unseal(PLACE, b"\xff" * size)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_aes_takes_its_key_sizes(size: int) -> None:
    for make in (ciphers.AesGcm, ciphers.AesCbc):
        cipher = make(bytes(size))
        assert cipher.unseal(PLACE, cipher.seal(PLACE, b"a")) == b"a"
