"""Plays the steps of a trace on the two cores; what comes out has the form in which it is recorded.

A step is one input of one core: `side`, `at` (ms), `do`, `with`; then what the core made of it:
`out`, `state`, and `due_in` how many ms it must be woken. Recorder and replay both go through here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias, TypeVar

import msgspec

from deskwire.bench.outs import Out
from deskwire.bench.reading import Reading
from deskwire.realtime import frames
from deskwire.realtime.delivery import NEVER, Delivery
from deskwire.realtime.frames import Ephemeral, FramedPage, frame_ephemeral, frame_event
from deskwire.realtime.gate import Permit
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryHead
from deskwire.realtime.outputs import Abort, Ask, Close, Live, Output, Read, Tell, Write
from deskwire.realtime.pulse import Greeting
from deskwire.realtime.watch import Denied

T = TypeVar("T")
Json: TypeAlias = Any
Step: TypeAlias = Mapping[str, Json]
Made: TypeAlias = dict[str, Json]  # what a step adds to its input


def as_json(value: T) -> T:
    """As it would be read back: a tuple is a list."""
    read: T = json.loads(json.dumps(value))
    return read


class Dice:
    """Fall as written down: the client's numbers in [0, 1), one after another."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._numbers = iter(numbers)

    def __call__(self) -> float:
        return next(self._numbers)


# --- the client ----------------------------------------------------------------------------------


def play_client(reading: Reading, step: Step) -> Made:
    given = list(step.get("with", ()))
    if step["do"] == "receive":
        given = ["\n".join(_sent(frame) for frame in given[0])]
    outs: Sequence[Out] = getattr(reading, step["do"])(*given, step["at"])
    due_in = None if reading.due_at is None else reading.due_at - step["at"]
    made = {"out": [_client_out(out) for out in outs], "state": reading.state.kind}
    return as_json({**made, "due_in": due_in})


def _sent(frame: Any) -> str:
    """As JSON.stringify has it, for its size counts. A text is no frame, and goes as it is."""
    if isinstance(frame, str):
        return frame
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def _client_out(out: Out) -> Made:
    """Its name is its `do`."""
    held = {field.name: getattr(out, field.name) for field in fields(out)}
    return {"do": type(out).__name__.lower(), **held}


def stands_client(reading: Reading) -> Made:
    """How a client stands in the end."""
    kind, code = reading.state.kind, reading.state.code
    return as_json({"state": kind, "code": code, "places": reading.places})


# --- the server ----------------------------------------------------------------------------------


def open_server(step: Step, limits: Mapping[str, int]) -> tuple[Delivery, Made]:
    """The delivery of a new connection. Its room is all there is."""
    delivery = Delivery(Greeting(**step["with"][0]), Limits(**limits), step["at"])
    return delivery, _server_made(delivery, (), step["at"])


def play_server(delivery: Delivery, step: Step) -> Made:
    """`room`, where it is named, is what the transport takes before this input."""
    delivery.room = step.get("room", delivery.limits.waiting_bytes)
    outputs = SERVER[step["do"]](delivery, step["at"], *step.get("with", ()))
    return _server_made(delivery, outputs, step["at"])


def _receive(delivery: Delivery, now: int, frame: Json) -> Sequence[Output]:
    try:
        heard: frames.Up | frames.PeerFault = frames.decode(json.dumps(frame))
    except frames.PeerFault as fault:
        heard = fault
    return delivery.receive(heard, now)


def _permitted(
    delivery: Delivery, now: int, stream: str, answer: Json, head: Json
) -> Sequence[Output]:
    denied = "why" in answer
    said = Denied(answer["why"]) if denied else Permit(**answer)
    return delivery.permitted(stream, said, MemoryHead(**head), now)


def _offer(
    delivery: Delivery, now: int, stream: str, epoch: str, position: int, event: Json
) -> Sequence[Output]:
    return delivery.offer(frame_event(stream, epoch, position, body_of(event)), now)


def _page(delivery: Delivery, now: int, stream: str, page: Json) -> Sequence[Output]:
    epoch, after = page["epoch"], page["after"]
    events = [
        frame_event(stream, epoch, position, body_of(event))
        for position, event in enumerate(page["events"], after + 1)
    ]
    framed = FramedPage(epoch=epoch, after=after, events=events, head=page["head"])
    return delivery.page(stream, framed, now)


def _ephemeral(delivery: Delivery, now: int, sign: Json) -> Sequence[Output]:
    return delivery.ephemeral(frame_ephemeral(Ephemeral(**sign)), now)


def _leave(delivery: Delivery, now: int, code: int, retry: Json) -> Sequence[Output]:
    return delivery.leave(code, None if retry is None else (retry[0], retry[1]), now)


SERVER: Mapping[str, Callable[..., Sequence[Output]]] = {
    "receive": _receive,
    "permitted": _permitted,
    "offer": _offer,
    "page": _page,
    "ephemeral": _ephemeral,
    "writable": lambda delivery, now: delivery.writable(delivery.room, now),
    "tick": lambda delivery, now, heads: delivery.tick(now, heads),
    "renewed": lambda delivery, now, until: delivery.renewed(until, now),
    "leave": _leave,
    "lost": lambda delivery, now: delivery.lost(now),
}


def body_of(event: Json) -> bytes:
    """An event as a log holds it."""
    return json.dumps(event, separators=(",", ":")).encode()


def _server_made(delivery: Delivery, outputs: Sequence[Output], now: int) -> Made:
    due_in = None if delivery.due_at >= NEVER else delivery.due_at - now
    outs = [_server_out(output) for output in outputs]
    return as_json({"out": outs, "state": delivery.phase.value, "due_in": due_in})


def _server_out(output: Output) -> Made:
    match output:
        case Write():
            written = [msgspec.json.decode(frame.json) for frame in output.frames]
            return {"do": "write", "frames": written}
        case Tell():
            return {"do": "tell", "report": msgspec.to_builtins(output.report)}
        case Ask() | Read() | Live() | Close() | Abort():
            held = {field.name: getattr(output, field.name) for field in fields(output)}
            return {"do": type(output).__name__.lower(), **held}


def stands_server(delivery: Delivery) -> Made:
    """How a connection stands in the end, seen from its server."""
    watches = {
        stream: [watch.standing.value, watch.epoch, watch.acked, watch.sent, watch.head]
        for stream, watch in delivery.watches.items()
    }
    return as_json({"state": delivery.phase.value, "ended": delivery.ended, "watches": watches})


# --- a whole trace -------------------------------------------------------------------------------


def replayed(trace: Mapping[str, Json], client: type[Reading] = Reading) -> Mapping[str, Json]:
    """The trace as both cores make it from its inputs: as it is given, or one has changed."""
    reading = client(trace["client"], Dice(trace["dice"]))
    deliveries: dict[int, Delivery] = {}
    steps = [
        {**step, **_played(step, reading, deliveries, trace["limits"])} for step in trace["steps"]
    ]
    servers = [stands_server(delivery) for delivery in deliveries.values()]
    end = {"client": stands_client(reading), "servers": servers}
    return {**trace, "steps": steps, "applied": applied(steps), "end": end}


def _played(
    step: Step, reading: Reading, deliveries: dict[int, Delivery], limits: Mapping[str, int]
) -> Made:
    if step["side"] == "client":
        return play_client(reading, step)
    if step["do"] == "open":
        deliveries[step["of"]], made = open_server(step, limits)
        return made
    return play_server(deliveries[step["of"]], step)


def applied(steps: Sequence[Step]) -> list[Json]:
    """What the client applied, in order: stream and position."""
    return [[out["stream"], out["position"]] for out in _outs(steps) if out["do"] == "apply"]


def _outs(steps: Sequence[Step]) -> Iterator[Json]:
    return (out for step in steps if step["side"] == "client" for out in step["out"])
