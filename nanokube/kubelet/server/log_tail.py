"""Finds where the last lines of a log file begin, reading backwards."""

from typing import BinaryIO

BLOCK_BYTES = 64 * 1024


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Return the offset of the last `lines` lines; a last line without newline counts.

    Every raw line counts, partial ones too, as upstream (findTailLineStartIndex).
    """
    end = file.seek(0, 2)
    if lines <= 0:
        return end
    position, found, block_end = end, 0, end
    while position > 0:
        position = max(0, block_end - BLOCK_BYTES)
        file.seek(position)
        block = file.read(block_end - position)
        if block_end == end and block.endswith(b"\n"):
            block = block[:-1]
        index = len(block)
        while (index := block.rfind(b"\n", 0, index)) >= 0:
            found += 1
            if found == lines:
                return position + index + 1
        block_end = position
    return 0
