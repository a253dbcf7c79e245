"""The wire: round trips, bounds at the edge and past it, and whatever bytes a peer may send."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import typing
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskwire.realtime import frames
from deskwire.realtime.frames import (
    Ephemeral,
    Framed,
    FrameTooLarge,
    MalformedFrame,
    PayloadError,
    PeerFault,
    UnknownOp,
    UnsupportedProtocol,
    decode,
)

stream = st.from_regex(r"\A[a-z0-9:._@-]{1,96}\Z")
position = st.integers(0, 2**53 - 1)
token = st.from_regex(r"\A[A-Za-z0-9_-]{8,64}\Z")
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=32)
place = st.none() | st.tuples(st.none() | text.filter(bool), position)
positions = st.dictionaries(stream, position, max_size=5)
data = st.dictionaries(text, st.integers(-(2**53), 2**53) | text | st.booleans(), max_size=4)

UP = {
    frames.Identify: st.builds(
        frames.Identify, protocol=st.just(1), client=text, device=token, tab=token,
        visible=st.booleans(), wants=st.lists(text.filter(bool), max_size=8).map(tuple),
        watch=st.dictionaries(stream, place, max_size=5),
    ),
    frames.Watch: st.builds(frames.Watch, watch=st.dictionaries(stream, place, max_size=5)),
    frames.Unwatch: st.builds(frames.Unwatch, streams=st.lists(stream, max_size=5).map(tuple)),
    frames.Ack: st.builds(frames.Ack, positions=positions),
    frames.Mark: st.builds(frames.Mark, stream=stream, read=position),
    frames.Typing: st.builds(frames.Typing, stream=stream, on=st.booleans()),
    frames.Viewing: st.builds(frames.Viewing, stream=stream, on=st.booleans()),
    frames.Visibility: st.builds(frames.Visibility, visible=st.booleans()),
    frames.Pong: st.builds(frames.Pong, positions=positions),
    frames.Probe: st.builds(frames.Probe, n=position, positions=positions),
}  # fmt: skip
sign = st.builds(
    frames.Sign, type=text, key=text, ttl_ms=position | st.just(msgspec.UNSET), data=data
)
heads = positions | st.just(msgspec.UNSET)
DOWN = {
    frames.Hello: st.builds(
        frames.Hello, connection=text, node=text, now=position, heartbeat_ms=position,
        silence_ms=position, login_until=position,
        limits=st.builds(
            frames.HelloLimits, watches=position, frame_bytes=position, frames_per_s=position
        ),
    ),
    frames.Watched: st.builds(
        frames.Watched, stream=stream, epoch=text, position=position, head=position
    ),
    frames.Event: st.builds(
        frames.Event, stream=stream, position=position,
        event=data.map(lambda value: msgspec.Raw(msgspec.json.encode(value))),
    ),
    frames.Live: st.builds(
        frames.Live, stream=stream, position=position, signs=st.lists(sign, max_size=3).map(tuple)
    ),
    frames.Reset: st.builds(
        frames.Reset, stream=stream, epoch=text, head=position,
        why=st.sampled_from(["epoch", "ahead", "trimmed", "far"]),
    ),
    frames.Unwatched: st.builds(
        frames.Unwatched, stream=stream,
        why=st.sampled_from(["denied", "left", "revoked", "gone"]),
    ),
    frames.EphemeralFrame: st.builds(
        frames.EphemeralFrame, stream=stream, type=text, key=text,
        ttl_ms=position | st.just(msgspec.UNSET), data=data,
    ),
    frames.Ping: st.builds(frames.Ping, now=position, heads=heads),
    frames.Alive: st.builds(frames.Alive, n=position, heads=heads),
    frames.Login: st.builds(frames.Login, until=position, renew=st.booleans()),
    frames.Error: st.builds(
        frames.Error, code=st.sampled_from(typing.get_args(frames.ErrorCode)), about=text,
        stream=stream | st.just(msgspec.UNSET), retry_ms=position | st.just(msgspec.UNSET),
    ),
    frames.Bye: st.builds(
        frames.Bye, code=position, why=text, retry_ms=st.none() | st.tuples(position, position)
    ),
}  # fmt: skip


def test_every_frame_has_its_strategy() -> None:
    assert set(UP) == set(typing.get_args(frames.Up))
    assert set(DOWN) == set(typing.get_args(frames.Down))


@given(frame=st.one_of(*UP.values()))
def test_every_frame_up_round_trips(frame: Any) -> None:
    assert decode(frames.encode(frame)) == frame
    assert decode(frames.encode(frame).decode()) == frame


@given(sent=st.lists(st.one_of(*DOWN.values()), min_size=1, max_size=4))
def test_every_frame_down_round_trips_even_joined(sent: list[Any]) -> None:
    joined = b"\n".join(frames.encode(frame) for frame in sent)

    got = frames.decode_down(joined)

    for before, after in zip(sent, got, strict=True):
        if isinstance(before, frames.Event):
            assert isinstance(after, frames.Event)
            assert bytes(after.event) == bytes(before.event)
        else:
            assert after == before


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
OPS = st.sampled_from([kind.__struct_config__.tag for kind in UP] + ["dance", ""])


@settings(max_examples=400)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200)
    | st.builds(
        lambda op, rest: msgspec.json.encode({**rest, "op": op}),
        OPS,
        st.dictionaries(
            st.sampled_from(["protocol", "watch", "positions", "stream", "on", "read", "n",
                             "streams", "visible", "device", "tab", "client", "wants"]),
            JSONISH,
        ),
    )
)  # fmt: skip
def test_bytes_from_a_peer_raise_only_protocol_errors(sent: Any) -> None:
    try:
        decode(sent)
    except PeerFault as fault:
        assert len(fault.about) <= 32  # noqa: PT017  whatever fault it is


@pytest.mark.parametrize(
    "sent, fault",
    [
        (b"", MalformedFrame),
        (b"{}", MalformedFrame),
        (b'[{"op":"pong"}]', MalformedFrame),
        (b'{"op":"pong"}{"op":"pong"}', MalformedFrame),
        (b'{"op":"pong","positions":{"A":1}}', MalformedFrame),
        (b'{"op":"pong","positions":{"a\\n":1}}', MalformedFrame),
        (b'{"op":"ack","positions":{"a":1.5}}', MalformedFrame),
        (b'{"op":"ack","positions":{"a":-1}}', MalformedFrame),
        (b'{"op":"ack","positions":{"a":9007199254740992}}', MalformedFrame),
        (b'{"op":"ack"}', MalformedFrame),
        (b'{"op":"dance"}', UnknownOp),
        (b'{"op":"hello"}', UnknownOp),
        (b'{"op":"identify","protocol":2}', UnsupportedProtocol),
        (b'{"op":"identify","protocol":"1"}', MalformedFrame),
        (b'{"op":"pong","x":' + b"[" * 30_000, MalformedFrame),
        (b'{"op":"pong","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", MalformedFrame),
        ("\ud800", MalformedFrame),
        (b"\xff\xfe", MalformedFrame),
        (b" " * 32_769, FrameTooLarge),
    ],
)
def test_each_fault_has_its_name(sent: Any, fault: type[PeerFault]) -> None:
    with pytest.raises(fault):
        decode(sent)


def test_a_frame_of_32_kib_is_taken() -> None:
    frame = b'{"op":"pong","more":"%b"}'
    padded = frame % (b"x" * (32_768 - len(frame) + 2))

    assert len(padded) == 32_768
    assert decode(padded) == frames.Pong()


def test_unknown_fields_are_ignored() -> None:
    assert decode(b'{"op":"typing","stream":"s","on":true,"mood":"fine"}') == frames.Typing(
        stream="s", on=True
    )


# --- framed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length, header",
    [
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_websocket_bytes_are_finished_and_unmasked(length: int, header: bytes) -> None:
    framed = Framed(b"x" * length)

    assert framed.wire == header + b"x" * length
    assert framed.size == len(framed.wire)
    assert framed.text == "x" * length


def test_an_event_carries_its_body_unread() -> None:
    body = '{"b":1,"a":"企业微信","z":1.10}'.encode()

    event = frames.frame_event("conv:1", "epoch-01", 7, body)

    assert (
        event.frame.json == b'{"op":"event","stream":"conv:1","position":7,"event":' + body + b"}"
    )


def test_a_body_written_over_several_lines_still_goes_out_as_one() -> None:
    event = frames.frame_event("s", "epoch-01", 1, b'{\n  "a": "x\\ny"\n}')

    assert b"\n" not in event.frame.json
    assert msgspec.json.decode(event.frame.json)["event"] == {"a": "x\ny"}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":"\xff"}', b"[1,]", b"x" * 70_000])
def test_a_body_that_cannot_be_carried_goes_out_as_unreadable(body: bytes) -> None:
    event = frames.frame_event("s", "epoch-01", 3, body)

    assert not event.readable
    frame = msgspec.json.decode(event.frame.json)
    assert (frame["position"], frame["event"]["type"]) == (3, "unreadable")


def test_an_event_frame_of_64_kib_is_carried_and_one_byte_more_is_not() -> None:
    around = len(frames.frame_event("s", "epoch-01", 1, b'""').frame.json) - 2
    fits = b'"%b"' % (b"x" * (65_536 - around - 2))

    assert frames.frame_event("s", "epoch-01", 1, fits).readable
    assert len(frames.frame_event("s", "epoch-01", 1, fits).frame.json) == 65_536
    assert not frames.frame_event("s", "epoch-01", 1, fits[:-1] + b'x"').readable


def test_a_sign_has_bounds() -> None:
    edge = Ephemeral(stream="s", type="t" * 64, key="k" * 96, data={"x": "x" * (4_096 - 8)})
    assert frames.frame_ephemeral(edge).frame.size > 4_096

    for over in (
        dataclasses.replace(edge, type="t" * 65),
        dataclasses.replace(edge, key="k" * 97),
        dataclasses.replace(edge, data={"x": "x" * (4_096 - 7)}),
    ):
        with pytest.raises(PayloadError):
            frames.frame_ephemeral(over)


# --- payloads ------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Name(str):
    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: int
    y: int


@pytest.mark.parametrize(
    "payload, json",
    [
        ({"a": "企业微信"}, '{"a":"企业微信"}'),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), '"2026-01-02T00:00:00Z"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        ({1}, "[1]"),
        (Point(1, 2), '{"x":1,"y":2}'),
        (Colour.RED, '"red"'),
        (Name("li"), '"li"'),
        (range(3), "[0,1,2]"),
        ({2: "a", None: "b", True: "c"}, '{"2":"a","null":"b","true":"c"}'),
        (10**30, "1" + "0" * 30),
    ],
)
def test_what_json_can_hold_is_encoded(payload: Any, json: str) -> None:
    assert frames.encode_payload(payload).decode() == json


def ring() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


class Explodes:
    def model_dump(self, mode: str) -> None:
        raise ZeroDivisionError(mode)


@pytest.mark.parametrize(
    "payload, path",
    [
        (object(), "$"),
        ({"rows": [1, {"bad": object()}]}, "$.rows[1].bad"),
        ({"a": "\ud800"}, "$.a"),
        ({(1, 2): 3}, "$"),
        ({"a": Explodes()}, "$.a"),
        (ring(), "$[0][0]"),
        (float("nan"), "$"),
        ({"a": [1.0, float("inf")], "b": None}, "$.a[1]"),
        ({"a": {None: float("-inf")}}, "$.a.None"),
    ],
)
def test_what_json_cannot_hold_is_the_callers_error_and_names_the_place(
    payload: Any, path: str
) -> None:
    with pytest.raises(PayloadError) as raised:
        frames.encode_payload(payload)

    assert raised.value.path.startswith(path)


def test_a_payload_of_256_kib_is_taken_and_one_byte_more_is_not() -> None:
    edge = "x" * (256 * 1024 - 2)

    assert len(frames.frame_payload(edge).json) == 256 * 1024
    with pytest.raises(PayloadError):
        frames.frame_payload(edge + "x")
