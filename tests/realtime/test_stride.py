"""Those of a stream who keep up: what is written past their deliveries is booked in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from deskwire.realtime.frames import FramedEvent, frame_event
from deskwire.realtime.limits import Limits
from deskwire.realtime.stride import Stride

LIMITS = Limits(unacked_events=16, unacked_bytes=100_000)  # a quarter may be unbooked


@dataclass(eq=False)
class Watcher:
    """What a connection is to a stride; it can go on as long as it wants to."""

    who: str
    stride: Stride[Watcher]
    got: list[int] = field(default_factory=list)
    booked: list[int] = field(default_factory=list)
    position: int = 0
    falls_behind_at: int = -1
    goes_on: bool = True

    def join(self) -> Watcher:
        self.stride.enter(self, self.write)
        return self

    def write(self, data: bytes) -> None:
        found = [n for n in range(1, 100) if b'"position":%d,' % n in data]
        self.got += found
        if self.falls_behind_at in found:
            self.leave()

    def leave(self) -> None:
        for data in self.stride.leave(self):
            self.write(data)

    def book(self, stream: str, sizes: Sequence[int], position: int) -> None:
        assert stream == self.stride.stream
        self.booked += sizes
        self.position = position

    def check_step(self) -> None:
        if not self.goes_on:
            self.leave()


def event(position: int, *, epoch: str = "e", bytes_of_text: int = 10) -> FramedEvent:
    body = b'{"t":"%b"}' % (b"x" * bytes_of_text)
    return frame_event("s", epoch, position, body)


def stride_of(*names: str, at: int = 0) -> tuple[Stride[Watcher], list[Watcher]]:
    stride: Stride[Watcher] = Stride("s", LIMITS)
    stride.send(event(at))
    return stride, [Watcher(name, stride).join() for name in names]


async def test_an_event_is_written_at_once_and_booked_when_asked_for() -> None:
    stride, (li, wang) = stride_of("li", "wang")

    assert stride.send(event(1)) == 2
    assert (li.got, li.booked) == ([1], [])
    stride.settle(li)
    stride.settle(li)

    assert (li.booked, li.position) == ([event(1).frame.size], 1)
    assert wang.booked == []


async def test_who_falls_behind_has_taken_that_event_and_booked_it() -> None:
    stride, (li, wang) = stride_of("li", "wang")
    li.falls_behind_at = 2

    assert [stride.send(event(1)), stride.send(event(2))] == [2, 2]
    await asyncio.sleep(0)

    assert (li.got, li.position, len(li.booked)) == ([1, 2], 2, 2)
    assert stride.send(event(3)) == 1
    await asyncio.sleep(0)
    assert (li.got, wang.got) == ([1, 2], [1, 2, 3])


async def test_who_leaves_takes_along_what_was_pending() -> None:
    stride, (li,) = stride_of("li")
    for position in (1, 2, 3):
        stride.send(event(position))
    assert li.got == [1]

    li.leave()

    assert (li.got, li.position, len(li.booked)) == ([1, 2, 3], 3, 3)
    assert len(stride) == 0


async def test_a_newcomer_is_written_nothing_that_was_pending() -> None:
    stride, (li,) = stride_of("li")
    for position in (1, 2):
        stride.send(event(position))
    late = Watcher("wang", stride).join()
    stride.send(event(3))
    await asyncio.sleep(0)
    stride.settle(late)

    assert (li.got, late.got) == ([1, 2, 3], [3])
    assert (late.position, len(late.booked)) == (3, 1)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_nobody_owes_the_books_more_than_a_quarter_of_a_window(goes_on: bool) -> None:
    stride, (li,) = stride_of("li")
    li.goes_on = goes_on

    for position in range(1, 10):
        stride.send(event(position))
        assert position - li.position <= 4 or not goes_on
    await asyncio.sleep(0)

    assert li.got == ([1, 2, 3, 4, 5, 6, 7, 8, 9] if goes_on else [1, 2, 3, 4])
    assert len(li.booked) == (8 if goes_on else 4)


async def test_a_large_event_comes_alone_into_the_window() -> None:
    stride, (li,) = stride_of("li")
    stride.send(event(1))
    stride.send(event(2, bytes_of_text=60_000))  # more than a quarter
    assert li.position == 1
    stride.send(event(3))

    assert li.position == 2


async def test_what_is_joined_fits_into_a_socket_with_nothing_waiting() -> None:
    stride, (li,) = stride_of("li")
    stride.send(event(1))
    for position in (2, 3):
        stride.send(event(position, bytes_of_text=40_000))

    assert li.got == [1, 2]  # both would not fit into 64 KiB


async def test_another_life_of_the_stream_begins_with_nobody_in_step() -> None:
    stride, (li,) = stride_of("li")
    li.goes_on = False
    stride.send(event(1))

    assert stride.send(event(1, epoch="f")) == 0

    assert (stride.epoch, stride.position, li.position) == ("f", 1, 1)
