"""WebSocket bytes (RFC 6455) as a server reads and makes them: the upgrade, frames, messages.

Pure: knows neither socket nor loop. No extension is ever agreed on, so nothing is compressed.
Invariant: whatever bytes come, they give messages or one WireFault; what is held is bounded.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_BYTES_MAX: Final = 64 * 1024  # uvicorn's HTTP classes bound it before


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_CONTINUATION, _TEXT, _BINARY = (
    int(op) for op in (Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY)
)
_CLOSE, _PING, _PONG = int(Opcode.CLOSE), int(Opcode.PING), int(Opcode.PONG)
_FINAL_TEXT: Final = 0x80 | _TEXT
_KNOWN: Final = frozenset(int(op) for op in Opcode)


class WireFault(Exception):
    """The peer broke the protocol: `code` is what it is closed with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BadUpgrade(Exception):
    """A request that cannot become a WebSocket: the HTTP answer to it."""

    def __init__(self, status: int, why: str, headers: Headers | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers: Headers = headers or []


# --- the upgrade ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request that may become a WebSocket; header names in lower case."""

    target: str
    headers: Headers
    subprotocols: list[str]
    accept: bytes  # Sec-WebSocket-Accept


def read_upgrade(head: bytes) -> Upgrade:
    """`head` is a whole request up to its empty line. Raises BadUpgrade."""
    lines = head.split(b"\r\n")
    method, _, rest = lines[0].partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if method != b"GET" or version != b"HTTP/1.1":
        raise BadUpgrade(400, "a WebSocket is opened by GET, HTTP/1.1")
    if not target.startswith(b"/") or not target.isascii():
        raise BadUpgrade(400, "the target is no path")
    headers = [_header(line) for line in lines[1:] if line]
    _check(headers)
    offered = b",".join(_values(headers, b"sec-websocket-protocol")).split(b",")
    return Upgrade(
        target.decode("ascii"),
        headers,
        [each.strip().decode("latin-1") for each in offered if each.strip()],
        _accept(_values(headers, b"sec-websocket-key")),
    )


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or not name.isascii() or name != name.strip():
        raise BadUpgrade(400, "a header line that is none")
    return name.lower(), value.strip(b" \t")


def _check(headers: Headers) -> None:
    if len(_values(headers, b"host")) != 1:
        raise BadUpgrade(400, "one Host is asked for")
    if len(_values(headers, b"origin")) > 1:
        raise BadUpgrade(400, "more than one Origin")
    bodies = [*_values(headers, b"transfer-encoding"), *_values(headers, b"content-length")]
    if bodies not in ([], [b"0"]):  # no browser sends one; read as frames it could only confuse
        raise BadUpgrade(400, "an upgrade with a body")
    if b"upgrade" not in _tokens(headers, b"connection"):
        raise BadUpgrade(426, "no upgrade asked for", [(b"upgrade", b"websocket")])
    if b"websocket" not in _tokens(headers, b"upgrade"):
        raise BadUpgrade(426, "no upgrade to websocket", [(b"upgrade", b"websocket")])
    if _values(headers, b"sec-websocket-version") != [b"13"]:
        raise BadUpgrade(426, "version 13 only", [(b"sec-websocket-version", b"13")])


def _accept(keys: Sequence[bytes]) -> bytes:
    try:
        good = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except binascii.Error:
        good = False
    if not good:
        raise BadUpgrade(400, "one Sec-WebSocket-Key of 16 bytes is asked for")
    return base64.b64encode(hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest())


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _tokens(headers: Headers, wanted: bytes) -> set[bytes]:
    return {each.strip().lower() for each in b",".join(_values(headers, wanted)).split(b",")}


# --- frames down ---------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes) -> bytes:
    """A finished frame: whole, unmasked."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65_536:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """`reason` is cut to what a control frame holds; 1005 and 1006 never travel."""
    if code in {1005, 1006}:
        return frame(Opcode.CLOSE, b"")
    words = reason.encode()[:123].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + words)


def read_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a peer's close; 1005 if it gave none. Raises WireFault."""
    if not payload:
        return 1005, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CODES or 3000 <= code <= 4999):
        raise WireFault(1002, "bad close code")
    return code, _decoded(payload[2:])


_CODES: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))

# --- frames up -----------------------------------------------------------------------------------

Message: TypeAlias = tuple[int, str | bytes]  # TEXT holds str, all others bytes


class Reader:
    """Bytes of one peer in, its messages and control frames out, one by one.

    What is not asked for waits as bytes; of an unfinished message no more than `size_max` is held.
    """

    __slots__ = ("_at", "_data", "_message", "_need", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self._data: bytes | bytearray = b""
        self._at = 0  # up to here it has been read
        self._need = 2  # how many bytes it takes to get any further
        self._message: _Fragments | None = None

    def put(self, data: bytes) -> None:
        if self._at == len(self._data):
            self._data, self._at = data, 0
            return
        if not isinstance(self._data, bytearray):
            self._data, self._at = bytearray(memoryview(self._data)[self._at :]), 0
        elif self._at:
            del self._data[: self._at]
            self._at = 0
        self._data += data

    def lone_text(self, data: bytes) -> str | None:
        """The text, if `data` is all there is and one whole short text frame. Else put it in.

        Raises WireFault.
        """
        length = len(data) - 6
        if (
            not 0 < length < 126
            or data[0] != _FINAL_TEXT
            or data[1] != 0x80 | length
            or self._message is not None
            or self._at != len(self._data)
            or length > self.size_max
        ):
            return None
        return _decoded(_unmasked(data[2:6], data[6:]))

    @property
    def waiting(self) -> int:
        """Bytes put in and not read yet."""
        return len(self._data) - self._at

    def head(self) -> bytes | None:
        """What stands before the first empty line, which is taken away too; None: not all of it."""
        found = self._data.find(b"\r\n\r\n", self._at)
        if found < 0:
            return None
        head = bytes(self._data[self._at : found])
        self._at = found + 4
        return head

    def next(self) -> Message | None:
        """The next message or control frame; None: more bytes are needed. Raises WireFault."""
        while (found := self._frame()) is not None:
            opcode, final, payload = found
            if opcode >= _CLOSE:
                return opcode, payload
            message = self._message
            if message is None and final:  # nearly always
                return opcode, (_decoded(payload) if opcode == _TEXT else payload)
            if message is None:
                message = self._message = _Fragments(opcode)
            message.add(payload)
            if final:
                self._message = None
                return message.opcode, message.whole()
        return None

    def _frame(self) -> tuple[int, bool, bytes] | None:
        data, at = self._data, self._at
        have = len(data) - at
        if have < self._need:
            return None
        first, second = data[at], data[at + 1]
        opcode = first & 0x0F
        length = self._checked(first, opcode, second)
        start = at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if have < 2 + size:
                self._need = 2 + size
                return None
            length = int.from_bytes(data[start : start + size], "big")
            start += size
        self._bound(opcode, length)
        end = start + 4 + length
        if len(data) < end:
            self._need = end - at
            return None
        payload = _unmasked(data[start : start + 4], data[start + 4 : end]) if length else b""
        if end == len(data):  # lets go of what was read
            self._data, self._at = b"", 0
        else:
            self._at = end
        self._need = 2
        return opcode, first >= 0x80, payload

    def _checked(self, first: int, opcode: int, second: int) -> int:
        """The length as the first two bytes give it, once they are beyond reproach."""
        if first & 0x70 or opcode not in _KNOWN:
            raise WireFault(1002, "reserved bit or opcode")
        if second < 0x80:
            raise WireFault(1002, "a frame without a mask")
        length = second & 0x7F
        if opcode >= _CLOSE:
            if first < 0x80 or length > 125:
                raise WireFault(1002, "a control frame in pieces")
        elif (opcode == _CONTINUATION) is (self._message is None):
            raise WireFault(1002, "a piece out of place")
        return length

    def _bound(self, opcode: int, length: int) -> None:
        if length >= 1 << 63:
            raise WireFault(1002, "a length above 2^63")
        held = self._message.size if self._message is not None and opcode < _CLOSE else 0
        if opcode < _CLOSE and held + length > self.size_max:
            raise WireFault(1009, "message too big")


class _Fragments:
    """A message that comes in pieces. Bad UTF-8 is found in the piece where it stands."""

    __slots__ = ("_bytes", "_decoder", "opcode")

    def __init__(self, opcode: int) -> None:
        self.opcode = opcode
        self._bytes = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")() if opcode == _TEXT else None

    @property
    def size(self) -> int:
        return len(self._bytes)

    def add(self, piece: bytes) -> None:
        self._bytes += piece  # empty ones leave no trace, however many come
        if self._decoder is not None:
            try:
                self._decoder.decode(piece)
            except UnicodeDecodeError:
                raise WireFault(1007, "bad UTF-8") from None

    def whole(self) -> str | bytes:
        return bytes(self._bytes) if self._decoder is None else _decoded(self._bytes)


def _decoded(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise WireFault(1007, "bad UTF-8") from None


def _unmasked(mask: bytes | bytearray, payload: bytes | bytearray) -> bytes:
    """One XOR of two big integers: linear, and no loop of ours."""
    length = len(payload)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")
