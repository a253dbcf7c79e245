"""What goes wrong in a world, one disturbance at a time: each fault of the plan, as a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from deskwire.bench.phases import Kind
from tests.traces.end import UNIX_MS
from tests.traces.player import Json
from tests.traces.world import World

PAUSES_MS: Final = (20, 20, 150, 150, 400, 400, 1_500, 1_500, 6_000, 33_000)
BYES: Final[tuple[tuple[int, Json], ...]] = (
    *((code, None) for code in (4000, 4002, 4003, 4004, 4006, 4007, 4444, 4001, 4009)),
    *((4001, (500, 4_000)), (4009, (1_000, 10_000)), (4001, (0, 0))),
    *((code, None) for code in (4500, 4503, 4504, 4505, 4506, 4507, 4777)),
)
STRANGE_UP: Final[tuple[Json, ...]] = (
    *({"op": "later", "n": n} for n in range(8)),
    {"op": "identify", "protocol": 1},
    {"op": "ack", "positions": {"conv:812": -1}},
    {"op": "ack", "positions": {"conv:812": 9_999}},
    {"op": "mark", "stream": "conv:999", "read": 1},
)
STRANGE_ANSWER: Final[Json] = {
    "op": "watched", "stream": "", "epoch": "epoch-77", "position": 1, "head": 1,
}  # fmt: skip
STRANGE_DOWN: Final[tuple[Json, ...]] = (
    {"op": "later", "stream": "", "more": [1, None]},
    {"op": "ping", "now": UNIX_MS, "heads": {"conv:999": 5, "conv:812": 4}, "more": 1},
    {"op": "hello", "now": UNIX_MS},
    {"op": "alive", "n": 99},
    STRANGE_ANSWER,
    {"op": "event", "stream": "conv:999", "position": 1, "event": {}},
    {"op": "unwatched", "stream": "conv:999", "why": "gone"},
    {"op": "error", "code": "denied", "about": "watch", "stream": ""},
    {"op": "login", "until": UNIX_MS, "renew": False},
    {"stream": ""},
    7,
    None,
    '{"op":"event",',  # no JSON: it goes as it is
)


def recorded(number: int) -> Json:
    """The trace of this seed: a storm, then calm."""
    world = World(number)
    stage = world.stage
    world.page.begin()
    for _ in range(stage.between(5, 15)):
        stage.run_for(stage.pick(PAUSES_MS))
        disturb(world)
    world.settle()
    return world.trace()


def disturb(world: World) -> None:
    """Often just an event; else one of the faults that this world has."""
    if not world.faults or world.stage.chance(0.4):
        commit(world)
        return
    DISTURBANCES.get(world.stage.pick(world.faults), commit)(world)
    if world.page.reading.state.kind is Kind.STOPPED and world.stage.chance(0.5):
        world.page.step("retry")


def commit(world: World) -> None:
    world.commit(stream_of(world))


def stream_of(world: World) -> str:
    return world.stage.pick(world.truth.streams)


# --- the network ---------------------------------------------------------------------------------


def cut(world: World) -> None:
    if world.page.link is not None:
        world.page.link.cut()


def go_half_open(world: World) -> None:
    if world.page.link is not None and world.stage.chance(0.6):
        down, up = world.stage.pick(((True, True), (True, False), (False, True)))
        world.page.link.die(down=down, up=up)


def stall(world: World) -> None:
    link = world.page.link
    if link is None or link.stalled:
        return
    link.stall()
    world.stage.later(world.stage.pick((300, 3_000, 9_000, 25_000, 45_000)), link.flow)
    if world.has("signs"):
        sign(world)
    for _ in range(world.stage.roll(6)):
        commit(world)


# --- the servers ---------------------------------------------------------------------------------


def burst(world: World) -> None:
    stream = stream_of(world)
    for _ in range(world.stage.pick((9, 12, 35))):
        world.commit(stream)


def restore(world: World) -> None:
    stream = stream_of(world)
    world.truth.restore(stream, world.stage.roll(4))
    wait = world.stage.pick((0, 0, 900))
    for end in world.ends:
        world.stage.later(wait, partial(end.news, stream))


def trim(world: World) -> None:
    stream = stream_of(world)
    world.truth.log.trim(stream, world.truth.head(stream)["position"] - world.stage.roll(3))


def narrow(world: World) -> None:
    """Or widen again."""
    stream = stream_of(world)
    position = max(0, world.truth.head(stream)["position"] - world.stage.roll(3))
    permits = (
        None,
        {"after": 0, "until": position},
        {"after": position, "until": None},
        {"after": 0, "until": None},
    )
    world.truth.permits[stream] = world.stage.pick(permits)
    why = world.stage.pick(("revoked", "left", "gone", None))
    for end in world.ends:
        end.news(stream, why)


def sign(world: World) -> None:
    stream = stream_of(world)
    kind = world.stage.pick(("typing", "marks", "presence", "plain"))
    for n in range(world.stage.pick((1, 1, 3))):
        key = f"{kind}:agent:{world.stage.pick(('li', 'wang', 'zhao'))}"
        one: Json = {
            "stream": stream,
            "type": kind,
            "key": key,
            "data": {"at": world.stage.now, "n": n},
        }
        if kind == "typing":
            one["ttl_ms"] = 6_000
        if kind != "plain":
            world.truth.signs[stream][key] = one
        for end in world.ends:
            end.sign(one)


def say_bye(world: World) -> None:
    if not world.ends or world.stage.chance(0.5):
        return
    end = world.ends[-1]
    code, retry = world.stage.pick(BYES)
    end.leave(code, retry)
    if world.has("strangers"):
        end.link.write([{"op": "later"}])
    if world.has("half_open") and world.stage.chance(0.5):
        dies = partial(end.link.die, down=True, up=True)
        world.stage.later(world.stage.roll(60), dies)


# --- the client and its user ---------------------------------------------------------------------


def sleep(world: World) -> None:
    ms = world.stage.pick((2_000, 16_000, 30_000))
    world.page.sleep(ms)
    world.stage.run_for(ms)


def forge(world: World) -> None:
    stream = stream_of(world)
    head = world.truth.head(stream)
    above, elsewhere = [head["epoch"], head["position"] + 3], ["epoch-00", head["position"]]
    if stream in world.page.wanted:
        world.page.watch({stream: world.stage.pick((above, elsewhere))})


def expect(world: World) -> None:
    """The reply to a command of one's own; it may be there before the event, or after it."""
    stream = stream_of(world)
    epoch = world.truth.head(stream)["epoch"]
    position = world.commit(stream) + world.stage.pick((0, 0, 0, 1))
    place = world.stage.pick(([epoch, position], [epoch, position], ["epoch-00", 1]))
    replied = partial(world.page.step, "expect", {stream: place})
    world.stage.later(world.stage.pick((0, 30, 200)), replied)


def watch_again(world: World) -> None:
    stream, page = stream_of(world), world.page
    if stream not in page.wanted or world.stage.chance(0.3):
        page.want(stream)
        page.load(stream)
    elif world.stage.chance(0.3):
        page.unwatch(stream)
    else:
        head = world.truth.head(stream)
        back = max(0, head["position"] - world.stage.roll(6))
        if world.stage.chance(0.3):
            page.step("unwatch", [stream])
        page.watch({stream: world.stage.pick(([head["epoch"], back], [None, 0], None))})


def act(world: World) -> None:
    stream = stream_of(world)
    position = world.truth.head(stream)["position"]
    on = world.stage.chance(0.6)
    acts: Mapping[str, tuple[Json, ...]] = {
        "mark": (stream, position), "typing": (stream, on), "viewing": (stream, on),
        "show": (on,), "look": (), "net": (on,), "wake": (),
    }  # fmt: skip
    do = world.stage.pick(tuple(acts))
    world.page.step(do, *acts[do])


def hurry(world: World) -> None:
    stream = stream_of(world)
    for n in range(world.stage.pick((2, 3, 4, 44))):
        world.page.step("viewing", stream, n % 2 == 0)
    world.page.step("retry")


def speak_strangely(world: World) -> None:
    """What a later version says, what no server and no client of ours says, and noise."""
    link, stage = world.page.link, world.stage
    if link is None:
        world.page.step("receive", [{"op": "ping", "now": UNIX_MS}])  # late: it is not heard
        return
    stream = stream_of(world)
    if stage.chance(0.1) and stream in world.page.wanted:
        world.page.load(stream)
        link.write([STRANGE_ANSWER | {"stream": stream}])
    elif stage.chance(0.4):
        for _ in range(stage.pick((1, 1, 12))):
            link.up(stage.pick(STRANGE_UP))
    else:
        frame = stage.pick(STRANGE_DOWN)
        unnamed = isinstance(frame, dict) and frame.get("stream") == ""
        link.write([frame | {"stream": stream} if unnamed else frame])


# The faults without a line here work by themselves, on whatever passes them.
DISTURBANCES: Final[Mapping[str, Callable[[World], None]]] = {
    "cuts": cut,
    "half_open": go_half_open,
    "stalls": stall,
    "sleeps": sleep,
    "bursts": burst,
    "restores": restore,
    "trims": trim,
    "forged": forge,
    "rights": narrow,
    "signs": sign,
    "byes": say_bye,
    "expects": expect,
    "again": watch_again,
    "person": act,
    "strangers": speak_strangely,
    "hurry": hurry,
}
