"""A plugin of a key management service for tests: KMS v2 on a Unix socket, keys kept in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from nanokube.storage.encryption import plugin_pb2 as pb
from nanokube.storage.encryption import plugin_pb2_grpc as rpc
from nanokube.storage.encryption.ciphers import AesGcm, Wrong


class KmsPlugin(rpc.KeyManagementServiceServicer):
    """key_id: by which it encrypts; another one is made when it is set. calls: what was asked."""

    def __init__(self) -> None:
        self.key_id = "k1"
        self.healthz = "ok"
        self.version = "v2"
        self.calls: list[str] = []

    def Status(self, request: Any, context: Any) -> pb.StatusResponse:
        self.calls.append("Status")
        return pb.StatusResponse(version=self.version, healthz=self.healthz, key_id=self.key_id)

    def Encrypt(self, request: Any, context: Any) -> pb.EncryptResponse:
        self.calls.append("Encrypt")
        sealed = self._cipher(self.key_id).seal("", request.plaintext)
        return pb.EncryptResponse(ciphertext=sealed, key_id=self.key_id, annotations={"a.example.com": b"1"})

    def Decrypt(self, request: Any, context: Any) -> pb.DecryptResponse:
        self.calls.append("Decrypt")
        if request.annotations != {"a.example.com": b"1"}:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "annotations are missing")
        try:
            return pb.DecryptResponse(plaintext=self._cipher(request.key_id).unseal("", request.ciphertext))
        except Wrong:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such key")
            raise

    def _cipher(self, key_id: str) -> AesGcm:
        return AesGcm(key_id.encode().ljust(32, b"\0"))


@contextlib.contextmanager
def serving(socket: Path, plugin: KmsPlugin) -> Iterator[KmsPlugin]:
    """Serve at a socket until the block ends."""
    with futures.ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        rpc.add_KeyManagementServiceServicer_to_server(plugin, server)  # type: ignore[no-untyped-call]
        server.add_insecure_port(f"unix://{socket}")
        server.start()
        try:
            yield plugin
        finally:
            server.stop(0).wait()
