"""Integers as protobuf writes them: seven bits a byte, the least first. Pure.

Source: protobuf.dev/programming-guides/encoding, "Base 128 Varints".
"""


def varint(value: int) -> bytes:
    r"""Write an integer of protobuf's.

    >>> varint(1), varint(300)
    (b'\x01', b'\xac\x02')
    """
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= (1 << 64) - 1  # negative numbers take ten bytes
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
