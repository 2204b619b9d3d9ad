"""The ciphers of values at rest, each with one key. Pure, but for randomness.

aesgcm and derived keys bind a value to its key in the store, so that whoever can write there cannot put one
Secret in another's place; aescbc and secretbox do not.
Source: staging apiserver pkg/storage/value/encrypt/{aes,secretbox} for what is stored, byte for byte.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

NONCE_BYTES: Final = 12  # NIST SP 800-38D
BLOCK_BYTES: Final = 16
SEED_BYTES: Final = 32


class Wrong(ValueError):
    """The key is another than it was encrypted by, or the value was changed or moved."""


class Cipher(Protocol):
    """place: the value's key in the store."""

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt."""
        ...

    def unseal(self, place: str, sealed: bytes) -> bytes:
        """Decrypt. Raises Wrong."""
        ...


class AesGcm:
    """AES-GCM under a random nonce. key: 16, 24 or 32 bytes; good for 2^32 values (SP 800-38D, 8.3)."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, place.encode())

    def unseal(self, place: str, sealed: bytes) -> bytes:
        """Decrypt. Raises Wrong."""
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as err:
            raise Wrong from err


class AesCbc:
    """AES-CBC with PKCS #7 padding: nothing tells a change. key: 16, 24 or 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.AES(key)

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt."""
        padder = padding.PKCS7(BLOCK_BYTES * 8).padder()
        start = os.urandom(BLOCK_BYTES)
        encryptor = BlockCipher(self._algorithm, modes.CBC(start)).encryptor()
        return start + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()

    def unseal(self, place: str, sealed: bytes) -> bytes:
        """Decrypt. Raises Wrong, mostly: one in 256 wrong keys leaves a valid padding."""
        try:
            decryptor = BlockCipher(self._algorithm, modes.CBC(sealed[:BLOCK_BYTES])).decryptor()
            unpadder = padding.PKCS7(BLOCK_BYTES * 8).unpadder()
            padded = decryptor.update(sealed[BLOCK_BYTES:]) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as err:
            raise Wrong from err


class Secretbox:
    """XSalsa20 and Poly1305 under a random nonce of 24 bytes. key: 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt."""
        return bytes(self._box.encrypt(plain))

    def unseal(self, place: str, sealed: bytes) -> bytes:
        """Decrypt. Raises Wrong."""
        try:
            return self._box.decrypt(sealed)
        except (CryptoError, ValueError) as err:
            raise Wrong from err


class Derived:
    """AES-GCM under a key of each value's own, derived of a seed: values without end."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt."""
        info = os.urandom(SEED_BYTES)
        return info + self._cipher(info).seal(place, plain)

    def unseal(self, place: str, sealed: bytes) -> bytes:
        """Decrypt. Raises Wrong."""
        return self._cipher(sealed[:SEED_BYTES]).unseal(place, sealed[SEED_BYTES:])

    def _cipher(self, info: bytes) -> AesGcm:
        return AesGcm(HKDFExpand(hashes.SHA256(), SEED_BYTES, info).derive(self._seed))
