"""URLs inside HTML pages that a proxied server gave: led back through the proxy. Pure, in linear time.

Only values of attributes that hold URLs change; all else stays as it came, well formed or not. A page is a
stranger's: no expression here tries one place twice (possessive quantifiers), and a tag or comment that
never ends leaves the rest as it is.

Source: apimachinery pkg/util/proxy/transport.go; HTML Living Standard, "Attributes" and "Tokenization".
"""

import html
import re
import zlib
from collections.abc import Callable, Mapping

Relocate = Callable[[str], str]

MAX_BYTES = 4 << 20  # of a page, unpacked; a longer one is no page that people read

_URLS: Mapping[str, frozenset[str]] = {
    tag: frozenset(attributes.split())
    for tag, attributes in {
        "a": "href", "applet": "codebase", "area": "href", "audio": "src", "base": "href",
        "blockquote": "cite", "body": "background", "button": "formaction", "command": "icon", "del": "cite",
        "embed": "src", "form": "action", "frame": "longdesc src", "head": "profile", "html": "manifest",
        "iframe": "longdesc src", "img": "longdesc src usemap", "input": "src usemap formaction",
        "ins": "cite", "link": "href", "object": "classid codebase data usemap", "q": "cite",
        "script": "src", "source": "src", "video": "poster src",
    }.items()
}  # fmt: skip
_START = re.compile(r"<(?:(!--)|([a-zA-Z][^\s/>]*+))")
_ATTRIBUTES = re.compile(r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+(?=>)""")
_ATTRIBUTE = re.compile(r"""(?<![^\s"'/])([^\s=/>"']++)(\s*+=\s*+)(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""")
# What is in these is text, not tags.
_ENDS = {tag: re.compile(f"</{tag}", re.IGNORECASE) for tag in ("script", "style", "textarea", "title")}


def is_page(content_type: str) -> bool:
    """Tell whether an answer of this type is looked into."""
    return content_type.partition(";")[0].strip().lower() == "text/html"


def unpack(data: bytes, encoding: str) -> bytes | None:
    """Undo a Content-Encoding; None if it is unknown, damaged, or too much comes out."""
    if encoding in ("", "identity"):
        return data
    if encoding != "gzip":
        return None
    try:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        plain = unpacker.decompress(data, MAX_BYTES)
    except zlib.error:
        return None
    return plain if unpacker.eof else None


def rewrite(page: bytes, relocate: Relocate) -> bytes:
    """Return the page with each URL that it names given through relocate. Bytes need not be UTF-8."""
    text = page.decode("utf-8", "surrogateescape")
    parts: list[str] = []
    done = 0
    while (start := _START.search(text, done)) is not None:
        end = _end_of_comment(text, start.end()) if start[1] else _end_of_tag(text, start.end())
        if end < 0:
            break
        parts.append(text[done : start.end()])
        tag = (start[2] or "").lower()
        parts.append(_rewrite_tag(text[start.end() : end], _URLS.get(tag, frozenset()), relocate))
        done = end
        if tag in _ENDS:
            closed = _ENDS[tag].search(text, done)
            if closed is None:
                break
            parts.append(text[done : closed.start()])
            done = closed.start()
    parts.append(text[done:])
    return "".join(parts).encode("utf-8", "surrogateescape")


def _end_of_comment(text: str, start: int) -> int:
    return text.find("-->", start)


def _end_of_tag(text: str, start: int) -> int:
    attributes = _ATTRIBUTES.match(text, start)
    return attributes.end() if attributes else -1


def _rewrite_tag(attributes: str, names: frozenset[str], relocate: Relocate) -> str:
    if not names:
        return attributes

    def replace(found: re.Match[str]) -> str:
        if found[1].lower() not in names:
            return found[0]
        old = html.unescape(found[3] or found[4] or found[5] or "")
        new = relocate(old)
        return found[0] if new == old else f'{found[1]}{found[2]}"{html.escape(new)}"'

    return _ATTRIBUTE.sub(replace, attributes)
