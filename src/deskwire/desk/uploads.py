"""What an upload is: its name made harmless, its measures read from its first bytes.

A picture that says of itself that it is larger than any screen could want is a file, and so is one
that does not say how large it is: it is never shown, only saved. What else is asked of an upload
stands in `messages.check_upload`.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from typing import Final

from deskwire.desk.messages import AttachmentKind, image_type

NAME_CHARS_MAX: Final = 200
EXTENSION_CHARS_MAX: Final = 16
NAMELESS: Final = "file"
FILE_TYPE: Final = "application/octet-stream"

HEAD_BYTES: Final = 512 * 1024  # a JPEG's measures may stand behind its profile and its preview
PIXELS_MAX: Final = 50_000_000
SIDE_MAX: Final = 20_000
SEGMENTS_MAX: Final = 2_000  # padding included, which could else be walked for long
STAGED_BYTES_MAX: Final = 200 * 1024 * 1024  # of one person's that no message has named yet

_PATH = re.compile(r"[/\\]")
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # segments without a length
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # tables, not frames


def clean_name(given: str) -> str:
    """The last part of a path, without what nobody sees or what turns the writing round.

    At most 200 characters, of which the extension is kept; never empty.
    """
    last = _PATH.split(given)[-1]
    # C: control, format (the overrides of direction among them), surrogate, private, unassigned.
    seen = "".join(char for char in last if unicodedata.category(char)[0] != "C")
    name = " ".join(unicodedata.normalize("NFC", seen).split()).strip(" .")
    if len(name) > NAME_CHARS_MAX:
        stem, dot, extension = name.rpartition(".")
        is_short = bool(dot) and 0 < len(extension) <= EXTENSION_CHARS_MAX
        end = dot + extension if is_short else ""
        name = (stem if is_short else name)[: NAME_CHARS_MAX - len(end)].rstrip(" .") + end
    return name or NAMELESS


def look(head: bytes) -> tuple[AttachmentKind, str, tuple[int, int] | None]:
    """Kind, type and measures by the first `HEAD_BYTES` of an upload, blind to what it is called.

    An image has measures within the bounds; anything else is a file of no particular type.
    """
    kind = image_type(head[:16])
    measures = _measures(kind, head) if kind else None
    if kind is None or measures is None or not _is_showable(*measures):
        return AttachmentKind.FILE, FILE_TYPE, None
    return AttachmentKind.IMAGE, kind, measures


def _is_showable(width: int, height: int) -> bool:
    return 0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX and width * height <= PIXELS_MAX


def _measures(kind: str, head: bytes) -> tuple[int, int] | None:
    try:
        match kind:
            case "image/png":
                return _of_png(head)
            case "image/gif":
                width, height = struct.unpack_from("<HH", head, 6)
                return width, height
            case "image/webp":
                return _of_webp(head)
            case _:
                return _of_jpeg(head)
    except (struct.error, IndexError):  # it ends too early
        return None


def _of_png(head: bytes) -> tuple[int, int] | None:
    length, name, width, height = struct.unpack_from(">I4sII", head, 8)
    return (width, height) if (length, name) == (13, b"IHDR") else None


def _of_webp(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
            return (width + 1, height + 1) if len(head) >= 30 else None
        case b"VP8L":
            signature, bits = struct.unpack_from("<BI", head, 20)
            measures = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            return measures if signature == 0x2F else None
        case b"VP8 ":
            mark, width, height = struct.unpack_from("<3sHH", head, 23)
            return (width & 0x3FFF, height & 0x3FFF) if mark == b"\x9d\x01\x2a" else None
        case _:
            return None


def _of_jpeg(head: bytes) -> tuple[int, int] | None:
    """Walks from segment to segment up to the frame, which has the measures."""
    at = 2
    for _ in range(SEGMENTS_MAX):
        if head[at] != 0xFF:
            return None
        kind = head[at + 1]
        if kind == 0xFF or kind in _JPEG_ALONE:  # padding is a byte
            at += 1 if kind == 0xFF else 2
            continue
        length, _, height, width = struct.unpack_from(">HBHH", head, at + 2)
        if kind in _JPEG_FRAMES:
            return width, height
        if length < 2:
            return None
        at += 2 + length
    return None
