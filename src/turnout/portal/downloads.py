"""Files of runs, models and datastores as answers: to be kept, or shown without doing harm."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

#: Kinds that a browser draws and never runs. SVG is not among them: it may hold scripts.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
#: Shown as they are, in a page that may do nothing at all.
HARMLESS = {"content-security-policy": "default-src 'none'; sandbox"}
#: Bytes of a text that are shown.
PREVIEW = 200_000


def picture_kind(name: str) -> str:
    """The media type of a picture that may be shown; "" for everything else.

    >>> picture_kind("plot.png"), picture_kind("plot.svg"), picture_kind("page.html")
    ('image/png', '', '')
    """
    kind = mimetypes.guess_type(name, strict=False)[0] or ""
    return kind if kind in PICTURES else ""


def kept(parts: Iterator[bytes], size: int, name: str) -> Response:
    """The file, to be saved under its own name."""
    last = name.rpartition("/")[2]
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\;%' else "_" for c in last
    )
    disposition = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last, errors='replace')}"
    )
    headers = {**HARMLESS, "content-length": str(size), "content-disposition": disposition}
    return StreamingResponse(parts, media_type="application/octet-stream", headers=headers)


def shown(parts: Iterator[bytes], size: int, kind: str) -> Response:
    """A picture inside of a page."""
    headers = {**HARMLESS, "content-length": str(size)}
    return StreamingResponse(parts, media_type=kind, headers=headers)


def text_of(data: bytes) -> str | None:
    """The text of a file's beginning; None for what is no text.

    >>> text_of(b"a\\nb"), text_of(b"\\x00\\x01")
    ('a\\nb', None)
    """
    if b"\0" in data:
        return None
    text = data.decode(errors="replace")
    # A few odd bytes, or a character cut in two at the end, make no binary file of a text.
    return text if text.count("\ufffd") <= len(text) // 50 + 1 else None
