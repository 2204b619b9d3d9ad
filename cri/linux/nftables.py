"""nftables through libnftables, in this process: a change costs well under a millisecond, a `nft` process 15.

Source: libnftables(3); include/nftables/libnftables.h.
"""

from __future__ import annotations

import ctypes
from typing import Any

_LIBRARY = "libnftables.so.1"


class NftablesError(RuntimeError):
    """The kernel or the parser refused the commands; the message is nft's own."""


class Nftables:
    """One context of libnftables, in the network namespace of the thread that made it. Not thread-safe."""

    def __init__(self) -> None:
        """Raises OSError if the library is not installed (Debian: nftables)."""
        self._library = _load()
        self._context: int | None = self._library.nft_ctx_new(0)
        if not self._context:
            raise MemoryError("cannot make an nftables context")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Carry out commands in nft's language as one transaction: all of them or none.

        Returns what they print. Raises NftablesError. Blocks for as long as the kernel needs: tens of
        microseconds for an element, about a second for 100,000.
        """
        status = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        if status != 0:
            error: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b"unknown error"
            raise NftablesError(error.decode(errors="replace").strip())
        return output.decode(errors="replace")

    def close(self) -> None:
        """Free the context."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None


def _load() -> Any:
    library = ctypes.CDLL(_LIBRARY)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
        getattr(library, name).restype = ctypes.c_char_p
    return library
