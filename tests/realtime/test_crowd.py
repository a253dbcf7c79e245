"""The crowd: whichever way frames go, each member gets them in the order of the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.realtime.crowd import Crowd
from deskwire.realtime.frames import JOINED_FRAMES_MAX, Framed
from deskwire.realtime.turn import PRESSURE_S


@dataclass(eq=False)
class Peer:
    """A member and its socket in one: keeps step until it is told to fall behind."""

    who: str
    crowd: Crowd[Peer]
    got: list[bytes] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    falls_behind_at: bytes | None = None
    keeps_step: bool = False

    def join(self) -> None:
        self.crowd.add(self)
        self.enter()

    def enter(self) -> None:
        self.keeps_step = True
        self.crowd.enter(self, self.write)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.take(data)
        if self.falls_behind_at is not None and self.falls_behind_at in data:
            self.fall_behind()

    def take(self, *data: bytes) -> None:
        for each in data:
            self.got += [each[n : n + 4] for n in range(0, len(each), 4)]

    def fall_behind(self) -> None:
        self.keeps_step = False
        self.take(*self.crowd.leave(self))

    def get(self, frame: Framed) -> None:
        """Sent to this one alone: what is owed goes first."""
        if self.crowd.owes(self):
            self.take(*self.crowd.leave(self))
        self.take(frame.wire)


def frame(number: int) -> Framed:
    """Four bytes on the wire, each another."""
    return Framed(b"%02d" % number)


def wires(numbers: Sequence[int]) -> list[bytes]:
    return [frame(n).wire for n in numbers]


def crowd_of(*names: str) -> tuple[Crowd[Peer], list[Peer]]:
    crowd: Crowd[Peer] = Crowd()
    peers = [Peer(name, crowd) for name in names]
    for peer in peers:
        peer.join()
    return crowd, peers


async def test_a_lone_frame_leaves_within_the_call() -> None:
    crowd, peers = crowd_of("li", "wang")

    assert crowd.send(frame(1)) == 2

    assert [peer.got for peer in peers] == [wires([1])] * 2


async def test_the_rest_of_a_turn_leaves_in_one_write() -> None:
    crowd, (li,) = crowd_of("li")

    for number in range(1, 6):
        crowd.send(frame(number))
    assert li.got == wires([1])
    await asyncio.sleep(0)

    assert li.got == wires([1, 2, 3, 4, 5])
    assert len(li.writes) == 2


async def test_while_bursts_follow_each_other_a_whole_one_is_one_write() -> None:
    crowd, (li,) = crowd_of("li")
    for number in (1, 2):
        crowd.send(frame(number))
    await asyncio.sleep(0)
    li.writes.clear()

    for number in (3, 4, 5):
        crowd.send(frame(number))
    await asyncio.sleep(0)

    assert li.writes == [b"".join(wires([3, 4, 5]))]


async def test_a_frame_that_others_are_said_to_follow_waits_for_them() -> None:
    crowd, (li,) = crowd_of("li")

    crowd.send(frame(1), more=True)
    crowd.send(frame(2))
    assert li.writes == []
    await asyncio.sleep(0)

    assert li.writes == [b"".join(wires([1, 2]))]


async def test_bursts_stay_joined_even_if_somebody_enters_while_they_are_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock)
    crowd, (li,) = crowd_of("li")

    for first in (1, 3, 5):
        li.writes.clear()
        for number in (first, first + 1):
            crowd.send(frame(number))
        crowd.hand_on()
        await asyncio.sleep(0)
        clock += PRESSURE_S * 0.8

    assert li.writes == [b"".join(wires([5, 6]))]


async def test_a_full_bundle_does_not_wait_for_the_turns_end() -> None:
    crowd, (li,) = crowd_of("li")

    for number in range(JOINED_FRAMES_MAX + 1):
        crowd.send(frame(number))

    assert li.got == wires(range(JOINED_FRAMES_MAX + 1))


async def test_who_falls_behind_has_taken_that_frame_and_is_apart_from_then_on() -> None:
    crowd, (li, wang) = crowd_of("li", "wang")
    li.falls_behind_at = frame(1).wire

    assert crowd.send(frame(1)) == 2
    assert crowd.apart == (li,)
    assert crowd.people_in_step == {"wang"}
    crowd.send(frame(2))
    await asyncio.sleep(0)

    assert li.got == wires([1])
    assert wang.got == wires([1, 2])


async def test_a_newcomer_gets_nothing_of_before() -> None:
    crowd, (li,) = crowd_of("li")
    crowd.send(frame(1))
    crowd.send(frame(2))
    late = Peer("wang", crowd)
    late.join()
    assert list(crowd.apart) == [late]
    await asyncio.sleep(0)
    assert not crowd.apart

    crowd.send(frame(3))
    await asyncio.sleep(0)

    assert late.got == wires([3])
    assert li.got == wires([1, 2, 3])


async def test_who_was_removed_gets_nothing_more() -> None:
    crowd, (li, wang) = crowd_of("li", "wang")
    crowd.remove(li)

    assert crowd.send(frame(1)) == 1

    assert (li.got, wang.got) == ([], wires([1]))
    assert crowd.apart == ()


async def test_a_person_with_two_connections_is_one_in_step() -> None:
    crowd, (one, other) = crowd_of("li", "li")
    assert crowd.people_in_step == {"li"}

    one.fall_behind()
    assert crowd.people_in_step == {"li"}
    other.fall_behind()

    assert crowd.people_in_step == set()


def test_a_crowd_serves_one_loop_after_another() -> None:
    crowd, (li,) = crowd_of("li")

    async def twice(first: int) -> None:
        crowd.send(frame(first))
        assert li.got[-1] == frame(first).wire  # at once, on each of them
        crowd.send(frame(first + 1))
        await asyncio.sleep(0)

    for first in (1, 3):
        asyncio.run(twice(first))

    assert li.got == wires([1, 2, 3, 4])


acts = st.lists(
    st.tuples(
        st.sampled_from(["all", "one", "behind", "enter", "turn", "join", "remove"]),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(acts)
def test_each_member_gets_every_frame_of_its_time_once_and_in_order(
    script: list[tuple[str, int]],
) -> None:
    asyncio.run(_play(script))


async def _play(script: list[tuple[str, int]]) -> None:
    crowd, peers = crowd_of("li", "wang")
    peers.append(Peer("zhao", crowd))
    members = {0, 1}
    due: list[list[bytes]] = [[], [], []]
    for number, (act, which) in enumerate(script):
        peer = peers[which]
        match act:
            case "all":
                apart = crowd.apart
                crowd.send(frame(number))
                for each in apart:
                    each.get(frame(number))
                for member in members:
                    due[member].append(frame(number).wire)
            case "one" if which in members:
                peer.get(frame(number))
                due[which].append(frame(number).wire)
            case "behind" if which in members:
                peer.fall_behind()
            case "enter" if which in members:
                peer.enter()
            case "join" if which not in members:
                members.add(which)
                peer.join()
            case "remove" if which in members:
                peer.fall_behind()
                crowd.remove(peer)
                members.discard(which)
            case _:
                await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [peer.got for peer in peers] == due
