"""Read tar streams: ustar, GNU long names, pax. Pure: bytes come from a callable, nothing is written.

It understands what layers of images are made of and refuses the rest; limits guard against hostile input.
Source: POSIX.1-2017 pax (Extended header), GNU tar manual (Basic Tar Format, Storing Sparse Files).
"""

import dataclasses
import enum
from collections.abc import Callable, Iterator

BLOCK = 512
_EXTENSION_BYTES_MAX = 1 << 20  # long names and pax records together, of one member
_PATH_BYTES_MAX = 4096  # PATH_MAX, include/uapi/linux/limits.h
_ID_MAX = (1 << 32) - 2  # (uid_t)-1 means "unchanged" to chown(2)
_XATTR = b"SCHILY.xattr."
_REGIONS_MAX = 100_000  # of one sparse file


class TarError(Exception):
    """The stream is not a tar archive that we read."""


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hard link"
    FIFO = "fifo"
    DEVICE = "device"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,  # contiguous file
    b"S": Kind.FILE,  # GNU tar's sparse file
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.DEVICE,
    b"4": Kind.DEVICE,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}


@dataclasses.dataclass(slots=True)
class Member:
    """One archive member. name and link as stored; size: bytes of content that follow.

    sparse: where the pieces of content belong, (offset, length) in order; None for a file without holes.
    full_size: bytes of the file with its holes.
    """

    name: bytes
    kind: Kind
    size: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    link: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    full_size: int = 0
    sparse: tuple[tuple[int, int], ...] | None = None


class Reader:
    """Iterates over the members of a stream. Content not read is skipped, by skip if that is given."""

    def __init__(self, read: Callable[[int], bytes], skip: Callable[[int], object] | None = None) -> None:
        self._read = read
        self._skip = skip
        self._left = 0  # content of the current member
        self._padding = 0
        self.offset = 0  # bytes consumed: where the current member's content starts

    def __iter__(self) -> Iterator[Member]:
        while (header := self._next_header()) is not None:
            yield self._member(header)

    def content(self, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the current member's content."""
        while self._left:
            data = self._take(min(self._left, chunk_bytes))
            self._left -= len(data)
            yield data

    def _take(self, count: int) -> bytes:
        data = self._read(count)
        while len(data) < count:
            more = self._read(count - len(data))
            if not more:
                raise TarError("unexpected end of archive")
            data += more
        self.offset += count
        return data

    def _next_header(self) -> bytes | None:
        if self._skip is not None:
            self._skip(self._left)
            self.offset += self._left
            self._left = 0
        for _ in self.content():
            pass
        if self._padding:
            self._take(self._padding)
            self._padding = 0
        header = self._read(BLOCK)
        if not header:
            return None
        if len(header) < BLOCK:
            self.offset += len(header)
            header += self._take(BLOCK - len(header))
        else:
            self.offset += BLOCK
        return header if header[0] or any(header) else None

    def _member(self, header: bytes) -> Member:
        """Read one member, with the extension headers before it."""
        long_name = long_link = b""
        pax: dict[bytes, bytes] = {}
        budget = _EXTENSION_BYTES_MAX
        while True:
            _check_sum(header)
            flag, size = header[156:157], _number(header[124:136])
            if flag not in (b"L", b"K", b"x", b"g"):
                return self._finish(header, long_name, long_link, pax)
            budget -= size
            if budget < 0:
                raise TarError("extension header too long")
            data = self._take(size)
            self._padding = -size % BLOCK
            if flag == b"L":
                long_name = data.split(b"\0", 1)[0]
            elif flag == b"K":
                long_link = data.split(b"\0", 1)[0]
            elif flag == b"x":
                pax.update(_pax(data))
            following = self._next_header()
            if following is None:
                raise TarError("extension header without a member")
            header = following

    def _finish(self, header: bytes, long_name: bytes, long_link: bytes, pax: dict[bytes, bytes]) -> Member:
        kind = _KINDS.get(header[156:157])
        if kind is None:
            raise TarError(f"unsupported member type {header[156:157]!r}")
        size = _decimal(pax[b"size"]) if b"size" in pax else _number(header[124:136])
        if kind is not Kind.FILE:
            size = 0 if kind is not Kind.HARDLINK else size
        member = Member(
            name=_path(pax.get(b"GNU.sparse.name") or pax.get(b"path") or long_name or _ustar_name(header)),
            kind=kind,
            size=size,
            mode=_number(header[100:108]) & 0o7777,
            uid=_id(pax.get(b"uid"), header[108:116]),
            gid=_id(pax.get(b"gid"), header[116:124]),
            mtime_ns=_mtime(pax.get(b"mtime"), header[136:148]),
            link=_path(pax.get(b"linkpath") or long_link or header[157:257].split(b"\0", 1)[0]),
            xattrs=tuple(
                (key[len(_XATTR) :].decode(errors="surrogateescape"), value)
                for key, value in pax.items()
                if key.startswith(_XATTR)
            ),
            full_size=size,
        )
        self._left, self._padding = size, -size % BLOCK
        if kind is Kind.FILE and (header[156:157] == b"S" or b"GNU.sparse" in b" ".join(pax)):
            self._make_sparse(member, header, pax)
        return member

    def _make_sparse(self, member: Member, header: bytes, pax: dict[bytes, bytes]) -> None:
        """Read where the pieces of a sparse file belong, in the three forms that GNU tar still writes."""
        if header[156:157] == b"S":
            numbers = self._old_map(header)
            member.full_size = _number(header[483:495])
        elif pax.get(b"GNU.sparse.major") == b"1":
            numbers = self._leading_map(member)
            member.full_size = _decimal(pax.get(b"GNU.sparse.realsize", b""))
        elif b"GNU.sparse.map" in pax:
            numbers = [_decimal(number) for number in pax[b"GNU.sparse.map"].split(b",") if number]
            member.full_size = _decimal(pax.get(b"GNU.sparse.size", b""))
        else:
            raise TarError("unsupported form of sparse file")
        regions = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        end = 0
        for offset, length in regions:
            if offset < end:
                raise TarError("sparse file with overlapping pieces")
            end = offset + length
        if end > member.full_size or sum(numbers[1::2]) != member.size:
            raise TarError("sparse file with pieces of wrong size")
        member.sparse = regions

    def _old_map(self, header: bytes) -> list[int]:
        """Read type S: 4 pairs in the header, 21 in each extension block after it."""
        table, more = header[386:482], header[482]
        while more:
            block = self._take(BLOCK)
            table += block[:504]
            more = block[504]
            if len(table) > _REGIONS_MAX * 24:
                raise TarError("sparse file of too many pieces")
        return [_number(table[at : at + 12]) for at in range(0, len(table), 12) if table[at - at % 24]]

    def _leading_map(self, member: Member) -> list[int]:
        """Read pax form 1.0: decimal lines before the content, padded to whole blocks."""
        data, wanted = b"", 1
        while data.count(b"\n") < wanted:
            if self._left < BLOCK or len(data) > _REGIONS_MAX * 40:
                raise TarError("sparse file without a whole map")
            data += self._take(BLOCK)
            self._left -= BLOCK
            if b"\n" in data:
                wanted = 1 + 2 * min(_decimal(data.split(b"\n", 1)[0]), _REGIONS_MAX + 1)
        member.size = self._left
        return [_decimal(number) for number in data.split(b"\n")[1:wanted]]


def _check_sum(header: bytes) -> None:
    wanted = _number(header[148:156])
    if wanted != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise TarError("wrong header checksum")


def _number(field: bytes) -> int:
    """Read an octal field, or GNU's base-256 form."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        if field[0] == 0xFF:
            raise TarError("negative number")
        return value
    text = field.strip(b" \0")
    if text.strip(b"01234567"):
        raise TarError(f"invalid octal number {text!r}")
    return int(text or b"0", 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise TarError(f"invalid decimal number {text[:20]!r}")
    return int(text)


def _id(pax: bytes | None, field: bytes) -> int:
    value = _decimal(pax) if pax is not None else _number(field)
    if value > _ID_MAX:
        raise TarError(f"user or group ID {value} out of range")
    return value


def _mtime(pax: bytes | None, field: bytes) -> int:
    """Return nanoseconds since the epoch; what lies before it becomes the epoch."""
    if pax is None:
        return min(_number(field), 1 << 33) * 10**9
    whole, _, fraction = pax.partition(b".")
    if whole.startswith(b"-"):
        return 0
    return min(_decimal(whole), 1 << 33) * 10**9 + _decimal(fraction[:9].ljust(9, b"0"))


def _path(name: bytes) -> bytes:
    if len(name) > _PATH_BYTES_MAX or b"\0" in name:
        raise TarError("path too long or with a zero byte")
    return name


def _ustar_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0]
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _pax(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read pax records: `length key=value\\n`, length counting all of it."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space]) if space > 0 else 0
        record = data[space + 1 : at + length - 1]
        key, equals, value = record.partition(b"=")
        if length < 5 or at + length > len(data) or not equals:
            raise TarError("invalid pax record")
        yield key, value
        at += length
