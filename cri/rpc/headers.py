"""The headers of a connection's calls, decoded once. Pure.

A client that repeats itself sends fields as their places in a table. A block of nothing but such fields
changes no table, and means the same as long as no other block came. Source: RFC 7541, sections 2.3.2 and 6.1.
"""

import hpack

_KNOWN_MAX = 64  # blocks; a CRI client has some 40 paths
_BLOCK_BYTES_MAX = 64


class Headers:
    """Decodes what one client sends, in order."""

    def __init__(self, bytes_max: int) -> None:
        """bytes_max: of one block's names and values, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
        self._decoder = hpack.Decoder(max_header_list_size=bytes_max)
        self._known: dict[bytes, dict[bytes, bytes]] = {}

    def decode(self, block: bytes) -> dict[bytes, bytes]:
        """Return a whole block's headers, which nobody may change. Raises hpack.HPACKError."""
        found = self._known.get(block)
        if found is not None:
            return found
        is_same = is_indexed(block)
        if not is_same:
            self._known.clear()
        found = dict(self._decoder.decode(block, raw=True))
        if is_same and len(block) <= _BLOCK_BYTES_MAX and len(self._known) < _KNOWN_MAX:
            self._known[block] = found
        return found


def is_indexed(block: bytes) -> bool:
    """Tell whether a block is made of indexed fields of one byte each: 0x81 to 0xfe. Pure."""
    return bool(block) and min(block) > 0x80 and max(block) < 0xFF
