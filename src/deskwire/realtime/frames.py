"""The wire `desk.v1`: frame types, encode, decode, the framed form, size bounds.

Knows JSON and WebSocket bytes. Never knows a connection's state, nor what an event means: its body
is carried unread.
Invariant: whatever a peer sends, `decode` returns a frame or raises a PeerFault, nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from deskwire.realtime.log import Stream

PROTOCOL: Final = 1
SUBPROTOCOL: Final = "desk.v1"
UP_BYTES_MAX: Final = 32 * 1024
EVENT_FRAME_BYTES_MAX: Final = 64 * 1024
PAYLOAD_BYTES_MAX: Final = 256 * 1024
SIGN_BYTES_MAX: Final = 4 * 1024
SIGNS_MAX: Final = 64
JOINED_FRAMES_MAX: Final = 64
JOINED_BYTES_MAX: Final = 64 * 1024

# --- what a peer may get wrong -------------------------------------------------------------------


class PeerFault(Exception):
    """The peer sent something that is no frame of ours. `about` ≤ 32 characters names it."""

    def __init__(self, about: str) -> None:
        super().__init__(about)
        self.about = about[:32]


class MalformedFrame(PeerFault):
    """Not JSON, not one object, binary, a wrong type or a value out of bounds: 4501."""


class UnknownOp(PeerFault):
    """A frame of a kind we do not know: an `error`, the connection stays."""


class FrameTooLarge(PeerFault):
    """Over 32 KiB: an `error`, the connection stays."""


class UnsupportedProtocol(PeerFault):
    """An `identify` of a protocol we do not speak: 4502."""


class PayloadError(ValueError):
    """The caller's payload cannot be carried as JSON; nobody was touched. `path` is where it is."""

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(f"{message} (at {path})")
        self.path = path


# --- values on the wire --------------------------------------------------------------------------

_MAX: Final = 2**53 - 1
StreamName: TypeAlias = Annotated[str, Meta(pattern=r"\A[a-z0-9:._@-]{1,96}\Z")]
Position: TypeAlias = Annotated[int, Meta(ge=0, le=_MAX)]
Token: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{8,64}\Z")]
Epoch: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Place: TypeAlias = tuple[Epoch | None, Position]
Positions: TypeAlias = dict[StreamName, Position]
Places: TypeAlias = dict[StreamName, Place | None]
Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """A passing sign: no position, newest per key counts, over after `ttl_ms` (None: stays).

    One that only some get is kept for nobody who comes later: `wants` names a word that a
    connection has said in `identify`, `to` the principals; none: every watcher of the stream.
    """

    stream: Stream
    type: str  # ≤ 64 characters
    key: str  # ≤ 96 characters
    ttl_ms: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)  # ≤ 4 KiB as JSON
    wants: str | None = None
    to: tuple[tuple[str, str], ...] | None = None


# --- frames up -----------------------------------------------------------------------------------


class _Frame(Struct, frozen=True, kw_only=True, tag_field="op"):
    """Anything on the wire: one JSON object with its `op`."""


class Identify(_Frame, frozen=True, kw_only=True, tag="identify"):
    protocol: Literal[1]
    client: Annotated[str, Meta(max_length=64)]
    device: Token
    tab: Token
    visible: bool
    wants: Annotated[tuple[Word, ...], Meta(max_length=8)] = ()
    watch: Places = {}


class Watch(_Frame, frozen=True, kw_only=True, tag="watch"):
    watch: Places


class Unwatch(_Frame, frozen=True, kw_only=True, tag="unwatch"):
    streams: tuple[StreamName, ...]


class Ack(_Frame, frozen=True, kw_only=True, tag="ack"):
    positions: Positions


class Mark(_Frame, frozen=True, kw_only=True, tag="mark"):
    stream: StreamName
    read: Position


class Typing(_Frame, frozen=True, kw_only=True, tag="typing"):
    stream: StreamName
    on: bool


class Viewing(_Frame, frozen=True, kw_only=True, tag="viewing"):
    stream: StreamName
    on: bool


class Visibility(_Frame, frozen=True, kw_only=True, tag="visibility"):
    visible: bool


class Pong(_Frame, frozen=True, kw_only=True, tag="pong"):
    positions: Positions = {}


class Probe(_Frame, frozen=True, kw_only=True, tag="probe"):
    n: Position
    positions: Positions = {}


Up: TypeAlias = (
    Identify | Watch | Unwatch | Ack | Mark | Typing | Viewing | Visibility | Pong | Probe
)

# --- frames down ---------------------------------------------------------------------------------


ResetWhy: TypeAlias = Literal["epoch", "ahead", "trimmed", "far"]
UnwatchedWhy: TypeAlias = Literal["denied", "left", "revoked", "gone"]
ErrorCode: TypeAlias = Literal[
    "unknown_op", "not_watching", "denied", "too_many_watches", "too_large", "too_fast"
]


class HelloLimits(Struct, frozen=True, kw_only=True):
    watches: int
    frame_bytes: int
    frames_per_s: int
    # Whoever acknowledges this seldom is never waited for: a quarter of the window at most.
    ack_ms: int = 0
    ack_events: int = 32
    ack_bytes: int = 64 * 1024


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    connection: str
    node: str
    now: int
    heartbeat_ms: int
    silence_ms: int
    login_until: int
    limits: HelloLimits


class Watched(_Frame, frozen=True, kw_only=True, tag="watched"):
    stream: str
    epoch: str
    position: int
    head: int


class Event(_Frame, frozen=True, kw_only=True, tag="event"):
    stream: str
    position: int
    event: msgspec.Raw


class Sign(Struct, frozen=True, kw_only=True):
    """An ephemeral inside `live`, which names the stream once for all."""

    type: str
    key: str
    ttl_ms: int | UnsetType = UNSET
    data: Any


class Live(_Frame, frozen=True, kw_only=True, tag="live"):
    stream: str
    position: int
    signs: tuple[Sign, ...] = ()


class Reset(_Frame, frozen=True, kw_only=True, tag="reset"):
    stream: str
    epoch: str
    head: int
    why: ResetWhy


class Unwatched(_Frame, frozen=True, kw_only=True, tag="unwatched"):
    stream: str
    why: UnwatchedWhy


class EphemeralFrame(_Frame, frozen=True, kw_only=True, tag="ephemeral"):
    stream: str
    type: str
    key: str
    ttl_ms: int | UnsetType = UNSET
    data: Any


class Ping(_Frame, frozen=True, kw_only=True, tag="ping"):
    now: int
    heads: dict[str, int] | UnsetType = UNSET


class Alive(_Frame, frozen=True, kw_only=True, tag="alive"):
    n: int
    heads: dict[str, int] | UnsetType = UNSET


class Login(_Frame, frozen=True, kw_only=True, tag="login"):
    until: int
    renew: bool


class Error(_Frame, frozen=True, kw_only=True, tag="error"):
    code: ErrorCode
    about: Annotated[str, Meta(max_length=32)]
    stream: str | UnsetType = UNSET
    retry_ms: int | UnsetType = UNSET


class Bye(_Frame, frozen=True, kw_only=True, tag="bye"):
    code: int
    why: Annotated[str, Meta(max_length=32)]
    retry_ms: tuple[int, int] | None


Down: TypeAlias = (
    Hello
    | Watched
    | Event
    | Live
    | Reset
    | Unwatched
    | EphemeralFrame
    | Ping
    | Alive
    | Login
    | Error
    | Bye
)

# --- decode --------------------------------------------------------------------------------------


class _Op(Struct):
    op: str
    protocol: Any = None


class _LoneAck(_Frame, frozen=True, kw_only=True, tag="ack"):
    positions: dict[str, Position]


_UP: Final = msgspec.json.Decoder(Up)
_ACK: Final = msgspec.json.Decoder(_LoneAck)
_ACK_BEGINS: Final = '{"op":"ack",'  # as every client of ours writes it
_ACK_CHARACTERS_MAX: Final = UP_BYTES_MAX // 4  # within the bound, whatever the characters are
_DOWN: Final = msgspec.json.Decoder(Down)
_OP: Final = msgspec.json.Decoder(_Op)
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_OPS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Up))
# RecursionError: a peer's nesting; UnicodeError: lone surrogates in a server's str.
_UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)


def decode(data: str | bytes) -> Up:
    """One frame up. Raises only PeerFault. `bytes` are a text frame not yet decoded."""
    try:
        raw = data.encode() if isinstance(data, str) else data
    except UnicodeError:
        raise MalformedFrame("utf-8") from None
    if len(raw) > UP_BYTES_MAX:
        raise FrameTooLarge("frame")
    try:
        frame: Up = _UP.decode(raw)
    except _UNREADABLE:
        raise _fault_of(raw) from None
    return frame


def positions_acked(data: str) -> dict[str, int] | None:
    """The positions of a lone `ack`, its stream names unchecked; None: let `decode` look at it."""
    if not data.startswith(_ACK_BEGINS) or len(data) > _ACK_CHARACTERS_MAX:
        return None
    try:
        return _ACK.decode(data).positions
    except _UNREADABLE:
        return None


def _fault_of(raw: bytes) -> PeerFault:
    """Which fault it is; only looked into once the fast way has failed."""
    try:
        head = _OP.decode(raw)
    except _UNREADABLE:
        return MalformedFrame("json")
    if head.op not in _OPS:
        return UnknownOp(_plain(head.op))
    if head.op == "identify" and type(head.protocol) is int and head.protocol != PROTOCOL:
        return UnsupportedProtocol("identify")
    return MalformedFrame(head.op)


def _plain(op: str) -> str:
    """A peer's word as we dare to repeat it."""
    return "".join(c for c in op[:32] if c.isascii() and c.isprintable())


def about(frame: Up | PeerFault) -> str:
    """The `op` as an `error` names it."""
    return frame.about if isinstance(frame, PeerFault) else str(frame.__struct_config__.tag)


def decode_down(data: str | bytes) -> list[Down]:
    """The frames of one message from a server, split where it joined them. For Python clients."""
    raw = data.encode() if isinstance(data, str) else data
    return [_DOWN.decode(line) for line in raw.split(b"\n")]


# --- encode --------------------------------------------------------------------------------------


class Framed:
    """A frame's JSON and its finished, unmasked WebSocket bytes, made once and shared."""

    __slots__ = ("_text", "json", "size", "wire")

    def __init__(self, body: bytes) -> None:
        self.json = body
        self.wire = _websocket_header(len(body)) + body
        self.size = len(self.wire)  # bytes on the wire, header included
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The JSON as str, for servers that want it so; made once."""
        if self._text is None:
            self._text = self.json.decode()
        return self._text

    def __repr__(self) -> str:
        return f"<Framed {self.size} bytes {self.json[:60]!r}>"


def _websocket_header(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


_ENCODER: Final = msgspec.json.Encoder()


def encode(frame: Up | Down) -> bytes:
    return _ENCODER.encode(frame)


def framed(frame: Down) -> Framed:
    return Framed(_ENCODER.encode(frame))


def ping(now: int, heads: dict[Stream, int]) -> Ping:
    return Ping(now=now, heads=heads or UNSET)


def alive(n: int, heads: dict[Stream, int]) -> Alive:
    return Alive(n=n, heads=heads or UNSET)


def error(code: ErrorCode, about: str, stream: Stream | None, retry_ms: int | None) -> Error:
    return Error(
        code=code,
        about=about,
        stream=UNSET if stream is None else stream,
        retry_ms=UNSET if retry_ms is None else retry_ms,
    )


def sign_in_live(sign: Ephemeral, data: bytes, ttl_ms: int | None) -> Sign:
    """`data` is the sign's, encoded before; `ttl_ms` what is left of it."""
    return Sign(
        type=sign.type,
        key=sign.key,
        ttl_ms=UNSET if ttl_ms is None else ttl_ms,
        data=msgspec.Raw(data),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FramedEvent:
    """One event of one stream, encoded and framed for every watcher of this node."""

    stream: Stream
    epoch: str
    position: int
    frame: Framed
    voids: int | None = None
    readable: bool = True  # False: the row could not be carried and goes out as `unreadable`


@dataclass(frozen=True, slots=True, kw_only=True)
class FramedPage:
    """A dense run of framed events above `after`; `head` as the log knew it then."""

    epoch: str
    after: int
    events: Sequence[FramedEvent]
    head: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FramedSign:
    """An ephemeral, encoded and framed for every watcher of this node."""

    stream: Stream
    type: str
    key: str
    frame: Framed


def frame_event(
    stream: Stream, epoch: str, position: int, body: bytes, voids: int | None = None
) -> FramedEvent:
    """Puts the envelope around a body without reading it. Never fails: positions stay dense."""
    carried = _carried(body)
    head = b'{"op":"event","stream":"%b","position":%d,"event":' % (stream.encode(), position)
    readable = carried is not None and len(head) + len(carried) < EVENT_FRAME_BYTES_MAX
    if carried is None or not readable:
        carried = _unreadable(stream, position)
    return FramedEvent(
        stream=stream,
        epoch=epoch,
        position=position,
        frame=Framed(b"%b%b}" % (head, carried)),
        voids=voids,
        readable=readable,
    )


def _carried(body: bytes) -> bytes | None:
    """The body as one line of JSON, or None. Newlines part joined frames, so none may be inside."""
    try:
        body.decode()
        _RAW.decode(body)
        return msgspec.json.format(body, indent=-1) if b"\n" in body else body
    except _UNREADABLE:
        return None


def _unreadable(stream: Stream, position: int) -> bytes:
    return _ENCODER.encode(
        {
            "id": f"unreadable:{stream}:{position}",
            "type": "unreadable",
            "v": 1,
            "at": 0,
            "conv": None,
            "by": None,
            "data": {},
        }
    )


def frame_ephemeral(sign: Ephemeral) -> FramedSign:
    """Raises PayloadError if the sign breaks a bound or JSON cannot hold it."""
    if len(sign.type) > 64 or len(sign.key) > 96:
        raise PayloadError(f"the type or key of a {sign.type[:64]} sign is too long", "$.key")
    data = encode_payload(sign.data)
    if len(data) > SIGN_BYTES_MAX:
        raise PayloadError(f"{len(data)} bytes of data, {SIGN_BYTES_MAX} at most", "$.data")
    return _frame_sign(sign, data)


def frame_plain(stream: Stream, key: str, payload: bytes) -> FramedSign | None:
    """A plain payload as a stream connection gets it; None if over an event frame's bound."""
    sign = Ephemeral(stream=stream, type="plain", key=key)
    result = _frame_sign(sign, payload)
    return result if len(result.frame.json) <= EVENT_FRAME_BYTES_MAX else None


def _frame_sign(sign: Ephemeral, data: bytes) -> FramedSign:
    frame = EphemeralFrame(
        stream=sign.stream,
        type=sign.type,
        key=sign.key,
        ttl_ms=UNSET if sign.ttl_ms is None else sign.ttl_ms,
        data=msgspec.Raw(data),
    )
    return FramedSign(stream=sign.stream, type=sign.type, key=sign.key, frame=framed(frame))


# --- payloads of the plain side ------------------------------------------------------------------


def encode_payload(data: Any) -> bytes:
    """A caller's payload as one line of JSON. Raises PayloadError and nothing else.

    Beyond json.dumps it takes datetime, UUID, Decimal, sets, dataclasses and pydantic models. NaN
    and infinities in dicts and lists are refused: JSON has none, and null would be another value.
    """
    try:
        return _encode_any(data)
    except PayloadError:
        raise
    except Exception as fault:  # a payload's own model_dump may raise anything
        raise PayloadError(_reason(fault), _path_of_fault(data)) from fault


def frame_payload(data: Any) -> Framed:
    """As `encode_payload`, framed; over 256 KiB is the caller's fault too."""
    body = encode_payload(data)
    if len(body) > PAYLOAD_BYTES_MAX:
        raise PayloadError(f"{len(body)} bytes, {PAYLOAD_BYTES_MAX} at most")
    return Framed(body)


def _encode_any(data: Any) -> bytes:
    try:
        body = _PAYLOAD.encode(data)
    except (TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        # json.dumps holds a few things msgspec does not: None and bool as keys, huge integers.
        text = json.dumps(
            data, default=_enc_hook, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode()
    # The encoder writes null for a number that JSON has not; only then is it looked for.
    if b"null" in body and _holds_no_number(data):
        raise ValueError("NaN and infinities are nothing JSON can hold")
    return body


def _holds_no_number(data: Any) -> bool:
    if isinstance(data, float):
        return not math.isfinite(data)
    return any(_holds_no_number(value) for _, value in _children(data))


def _enc_hook(value: Any) -> Any:
    if value is None or isinstance(value, bool):  # asked for as a key: json.dumps knows how
        raise TypeError("a key of this kind")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Collection):
        return list(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    try:
        return msgspec.to_builtins(value)
    except Exception:  # noqa: BLE001  a model's own code may raise anything
        raise TypeError(f"{type(value).__name__} is nothing JSON can hold") from None


_PAYLOAD: Final = msgspec.json.Encoder(enc_hook=_enc_hook)


def _reason(fault: Exception) -> str:
    if isinstance(fault, RecursionError):
        return "nested too deeply, or contains itself"
    return str(fault) or type(fault).__name__


def _path_of_fault(data: Any, depth: int = 0) -> str:
    """`$.a[3].b`: the innermost place whose value alone cannot be encoded; at most 16 steps."""
    if depth < 16:
        for step, value in _children(data):
            try:
                _encode_any(value)
            except Exception:  # noqa: BLE001  whatever the value raises, this is where it is
                return "$" + step + _path_of_fault(value, depth + 1)[1:]
    return "$"


def _children(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, Mapping):
        return [(f".{str(key)[:64]}", value) for key, value in data.items()]
    if isinstance(data, (list, tuple)):
        return [(f"[{n}]", value) for n, value in enumerate(data)]
    return []
