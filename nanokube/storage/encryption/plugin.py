"""Keys that a key management service's plugin guards (KMS v2), over gRPC on a Unix socket.

The plugin encrypts a seed, which is stored with every value; each value's key is derived of it. So the plugin
is asked once a start, once a change of its key, and once a seed that another server stored.

    poll, each minute:  Status ── another key_id ──> Encrypt(new seed) ──> state: values are encrypted by it
    a failed poll: asked again after 10 s; after 3 min without a good one, nothing is encrypted any more

Source: KEP-3299; staging apiserver pkg/server/options/encryptionconfig/config.go,
pkg/storage/value/encrypt/envelope/kmsv2/envelope.go (limits).
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Never

import grpc
from google.protobuf.message import DecodeError

from nanokube.kit.clock import Clock
from nanokube.storage.encryption import plugin_pb2 as pb
from nanokube.storage.encryption import plugin_pb2_grpc as rpc
from nanokube.storage.encryption.ciphers import SEED_BYTES, AesGcm, Cipher, Derived, Wrong
from nanokube.storage.encryption.configuration import Kms
from nanokube.storage.encryption.errors import PluginError, SeedUnknown, Unreadable

log = logging.getLogger(__name__)

POLL_S: Final = 60.0
POLL_AGAIN_S: Final = 10.0
WRITABLE_S: Final = 180.0
MAX_BYTES: Final = 1024  # of a key's name, and of an encrypted seed
MAX_ANNOTATIONS_BYTES: Final = 32 * 1024
VERSIONS: Final = ("v2", "v2beta1")


@dataclass(slots=True)
class State:
    """By what values are encrypted now. until: of the clock's monotonic time."""

    envelope: pb.EncryptedObject
    cipher: Cipher
    until: float


class Plugin:
    """One plugin. What asks it blocks, up to its timeout: call poll, and unseal that may ask, on a thread."""

    def __init__(self, config: Kms, clock: Clock) -> None:
        self.config = config
        self.failure = "it was not asked yet"
        self._clock = clock
        self._state: State | None = None
        self._ciphers: dict[bytes, Cipher] = {}  # by the envelope's head
        self._channel = grpc.insecure_channel(
            _target(config.endpoint),
            [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)],
        )
        self._stub = rpc.KeyManagementServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def run(self, turned: Callable[[], None]) -> Never:
        """Poll for ever; turned is called when values are encrypted by another key from now on."""
        while True:
            await asyncio.sleep(POLL_AGAIN_S if self.failure else POLL_S)
            before, was = self.key_id, self.failure
            try:
                await asyncio.to_thread(self.poll)
            except PluginError as err:
                log.warning("%s", err)
                continue
            if was:
                log.info("kms plugin answers again: name=%s", self.config.name)
            if self.key_id != before:
                log.info("kms plugin changed its key: name=%s", self.config.name)
                turned()

    @property
    def key_id(self) -> str:
        """By which of the plugin's keys the seed in use is encrypted."""
        return self._state.envelope.keyID if self._state is not None else ""

    def poll(self) -> None:
        """Ask how the plugin fares; take a new seed if its key is another. Blocks. Raises PluginError."""
        try:
            self._poll()
        except PluginError as err:
            self.failure = str(err)
            raise
        self.failure = ""

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt by the seed in use. Raises PluginError."""
        state = self._state
        if state is None or self._clock.monotonic() > state.until:
            raise self._error("encrypt", self.failure or "its key has expired")
        sealed = pb.EncryptedObject()
        sealed.CopyFrom(state.envelope)
        sealed.encryptedData = state.cipher.seal(place, plain)
        return sealed.SerializeToString()

    def unseal(self, place: str, sealed: bytes, *, may_ask: bool) -> bytes:
        """Decrypt. Raises SeedUnknown (may_ask is false), PluginError, Wrong."""
        envelope = _decoded(sealed)
        data = envelope.encryptedData
        envelope.ClearField("encryptedData")
        head = envelope.SerializeToString(deterministic=True)
        cipher = self._ciphers.get(head)
        if cipher is None:
            if not may_ask:
                raise SeedUnknown(f"cannot read {place} at once: kms {self.config.name} must be asked")
            cipher = self._ciphers[head] = self._asked(place, envelope)
        return cipher.unseal(place, data)

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether a value was encrypted by the plugin's key of now."""
        try:
            envelope = _decoded(sealed)
        except Wrong:
            return False
        return (
            envelope.keyID == self.key_id
            and envelope.encryptedDEKSourceType == pb.HKDF_SHA256_XNONCE_AES_GCM_SEED
        )

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _poll(self) -> None:
        status = self._call("Status", pb.StatusRequest())
        if status.version not in VERSIONS:
            raise self._error("use", f"it speaks version {status.version!r}, not v2")
        if status.healthz != "ok":
            raise self._error("use", f"it says: {status.healthz}")
        if not 0 < len(status.key_id) <= MAX_BYTES:
            raise self._error("use", f"its key has a name of {len(status.key_id)} bytes")
        until = self._clock.monotonic() + WRITABLE_S
        if self._state is not None and self._state.envelope.keyID == status.key_id:
            self._state.until = until
            return
        seed = os.urandom(SEED_BYTES)
        answer = self._call("Encrypt", pb.EncryptRequest(plaintext=seed, uid=str(uuid.uuid4())))
        if answer.key_id != status.key_id:
            raise self._error("use", "it encrypts by another key than its status tells")
        if not 0 < len(answer.ciphertext) <= MAX_BYTES:
            raise self._error("use", f"its ciphertext has {len(answer.ciphertext)} bytes")
        if sum(len(k) + len(v) for k, v in answer.annotations.items()) > MAX_ANNOTATIONS_BYTES:
            raise self._error("use", "its annotations are too large")
        envelope = pb.EncryptedObject(
            keyID=answer.key_id,
            encryptedDEKSource=answer.ciphertext,
            annotations=answer.annotations,
            encryptedDEKSourceType=pb.HKDF_SHA256_XNONCE_AES_GCM_SEED,
        )
        self._state = State(envelope, Derived(seed), until)
        self._ciphers[envelope.SerializeToString(deterministic=True)] = self._state.cipher

    def _asked(self, place: str, envelope: pb.EncryptedObject) -> Cipher:
        request = pb.DecryptRequest(
            ciphertext=envelope.encryptedDEKSource,
            uid=str(uuid.uuid4()),
            key_id=envelope.keyID,
            annotations=envelope.annotations,
        )
        key = self._call("Decrypt", request).plaintext
        if envelope.encryptedDEKSourceType == pb.HKDF_SHA256_XNONCE_AES_GCM_SEED:
            if len(key) < SEED_BYTES:
                raise Unreadable(f"cannot read {place}: kms {self.config.name} gave {len(key)} bytes")
            return Derived(key)
        try:
            return AesGcm(key)
        except ValueError as err:
            raise Unreadable(f"cannot read {place}: kms {self.config.name} gave no AES key") from err

    def _call(self, method: str, request: object) -> Any:
        try:
            return getattr(self._stub, method)(request, timeout=self.config.timeout_s)
        except grpc.RpcError as err:
            cause = f"{err.code().name}: {err.details()}" if isinstance(err, grpc.Call) else str(err)
            raise self._error(method.lower(), cause) from err

    def _error(self, verb: str, cause: str) -> PluginError:
        return PluginError(f"cannot {verb} by kms plugin {self.config.name}: {cause}")


def _decoded(sealed: bytes) -> pb.EncryptedObject:
    try:
        return pb.EncryptedObject.FromString(sealed)
    except DecodeError as err:
        raise Wrong from err


def _target(endpoint: str) -> str:
    """gRPC's name of an endpoint: the @ of an abstract socket is a scheme there.

    >>> _target("unix:///@kms"), _target("unix:///run/kms.sock")
    ('unix-abstract:kms', 'unix:///run/kms.sock')
    """
    path = endpoint.removeprefix("unix://")
    return f"unix-abstract:{path[2:]}" if path.startswith("/@") else f"unix://{path}"
