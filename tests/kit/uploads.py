"""The first bytes of pictures, made to measure."""

from __future__ import annotations

import struct


def png(width: int = 3, height: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def gif(width: int = 3, height: int = 2) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3)


def jpeg(width: int = 3, height: int = 2, *, before: bytes = b"", frame: int = 0xC0) -> bytes:
    """`before` are whole segments in front of the frame."""
    return (
        b"\xff\xd8" + before + struct.pack(">BBHBHH", 0xFF, frame, 17, 8, height, width) + bytes(10)
    )


def segment(kind: int, size: int = 0) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, size + 2) + b"\xc0" * size


def webp(kind: bytes, width: int = 3, height: int = 2) -> bytes:
    match kind:
        case b"VP8X":
            body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        case b"VP8L":
            body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
        case _:
            body = bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", 4 + 8 + len(body)) + b"WEBP" + kind + bytes(4) + body


WEBP = (b"VP8 ", b"VP8L", b"VP8X")
IMAGES = {
    "image/png": png(),
    "image/gif": gif(),
    "image/jpeg": jpeg(),
    "image/webp": webp(b"VP8 "),
}

# What somebody might send instead of a picture, under any name.
NO_IMAGES = {
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "a script": b"#!/bin/sh\nrm -rf /\n",
    "a zip bomb": b"PK\x03\x04" + bytes(26) + b"bomb" + bytes(1000),
    "PDF": b"%PDF-1.7\n",
    "BMP": b"BM" + bytes(60),
    "a PNG behind a space": b" " + png(),
    "a PNG's first bytes alone": png()[:8],
    "a PNG that ends in its measures": png()[:20],
    "a PNG whose first part is another": png().replace(b"IHDR", b"tEXt"),
    "a PNG of no width": png(0, 10),
    "a PNG of 50,000 by 50,000": png(50_000, 50_000),
    "a PNG of all bits": png(0xFFFFFFFF, 0xFFFFFFFF),
    "a GIF of no height": gif(10, 0),
    "a GIF that ends at once": b"GIF89a",
    "a JPEG without a frame": b"\xff\xd8" + segment(0xE0, 14) + b"\xff\xd9",
    "a JPEG that starts another way": b"\xff\xd8\xff" + b"\x00" * 40,
    "a JPEG whose segment has no length": b"\xff\xd8\xff\xe0\x00\x00" + jpeg()[2:],
    "a JPEG behind much padding": b"\xff\xd8" + b"\xff" * 500_000 + jpeg()[2:],
    "a JPEG behind many restarts": b"\xff\xd8" + b"\xff\xd0" * 200_000 + jpeg()[2:],
    "a WebP of an unknown kind": webp(b"VP8 ").replace(b"VP8 ", b"ALPH"),
    "a WebP that ends at once": webp(b"VP8X")[:26],
    "a WebP with a wrong mark": webp(b"VP8 ").replace(b"\x9d\x01\x2a", b"\x9d\x01\x2b"),
    "a RIFF that is a sound": b"RIFF" + bytes(4) + b"WAVEfmt " + bytes(20),
}
