"""The road from the log to the hub: heads, pages, permits; nothing revoked passes.

It reads each stream once for all its watchers, in order, and holds a page back until every loss of
sight committed before it has been applied here (`access`). It must never know a frame's meaning nor
a socket. Whatever fails is tried again by the tick: only latency is lost.
Invariant: a channel's `head` is the last position offered to its watchers; one fill runs at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from deskwire import telemetry
from deskwire.realtime.codes import Code
from deskwire.realtime.connection import StreamConnection
from deskwire.realtime.frames import FramedEvent, FramedPage, UnwatchedWhy, frame_event
from deskwire.realtime.gate import ConnectionId, Gate, Loss, Narrowed, Permits, Principal
from deskwire.realtime.hub import Channel, Hub
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import Head, Log, Page, Stream, Written
from deskwire.realtime.plain import PlainConnection
from deskwire.realtime.stride import Stride
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.watch import Denied, Standing, Watch

_log = telemetry.logger("realtime")

HEADS_PER_STATEMENT: Final = 1_000
# Offers in one go before the loop gets a turn: about 20 ms of fan-out.
OFFERS_PER_TURN: Final = 5_000
# Pages handed to connections in one turn of the loop: with 256 events each some 30 ms of it.
PAGES_PER_TURN: Final = 32
OVERLOADED_RETRY_MS: Final = (1_000, 10_000)
RETRY_S: Final = (0.05, 0.2, 1.0)
FAULT_EVERY_MS: Final = 1_000  # how often a kind of fault is told
_WHY: Final[Mapping[str, UnwatchedWhy]] = {
    "denied": "denied", "left": "left", "revoked": "revoked", "gone": "gone",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A head as the hub stands to it."""

    epoch: str
    position: int
    floor: int


@dataclass(slots=True)
class Counts:
    """How often, since the start."""

    pages_read: int = 0
    pages_joined: int = 0  # answered by a read already under way
    pages_kept: int = 0  # answered from the last frames
    pages_held: int = 0  # held back until `access` was applied
    reads_failed: int = 0
    events: int = 0  # framed here
    unreadable: int = 0
    epochs_changed: int = 0


class Feed:
    def __init__(
        self,
        hub: Hub[PlainConnection | StreamConnection, StreamConnection],
        log: Log,
        gate: Gate,
        tasks: Tasks,
        limits: Limits,
        now: Callable[[], int],
    ) -> None:
        self.access = -1  # the number up to which losses were applied here; -1: not yet asked
        self._access_known = -1  # the highest number heard of; permits under it are asked again
        self.counts = Counts()
        self._hub = hub
        self._log = log
        self._gate = gate
        self._tasks = tasks
        self._limits = limits
        self._now = now
        self._slots = asyncio.Semaphore(limits.page_reads)
        self._identifying = asyncio.Semaphore(limits.identifies)
        self._handing = asyncio.Semaphore(PAGES_PER_TURN)
        self._reading: dict[tuple[Stream, int], asyncio.Task[Page | Exception]] = {}
        self._framed: tuple[Page, FramedPage] | None = None  # the page that was framed last
        self._narrowing: asyncio.Task[None] | None = None
        self._narrowing_fault: Exception | None = None
        self._strides: WeakKeyDictionary[Channel[StreamConnection], Stride[StreamConnection]] = (
            WeakKeyDictionary()
        )
        self._signs_read: dict[Stream, asyncio.Task[None]] = {}
        self._heads_asked: list[tuple[Collection[Stream], asyncio.Future[dict[Stream, Head]]]] = []
        self._heads_task: asyncio.Task[None] | None = None
        self._faults_told: dict[str, tuple[int, int]] = {}  # kind → when last, how many since

    # --- doorbell and tick ----------------------------------------------------------------------

    async def begin(self) -> None:
        """Takes `access` as it stands: nobody is connected yet, so there is nobody to narrow."""
        self.access = self._access_known = (await self._gate.narrowed(-1)).access

    def rung(self, stream: Stream, position: int, page: Page | None = None) -> None:
        """The stream has reached `position`. A fitting page goes out within the call."""
        channel = self._hub.channels.get(stream)
        if channel is None:
            return
        channel.rung = max(channel.rung, position)
        if page is not None and self._fits(channel, page):
            self._take(channel, page)
        self._fill_soon(channel)

    async def look_at_heads(self) -> None:
        """The tick: finds what no doorbell told of, and streams that were restored."""
        await self._read_heads(list(self._hub.channels))

    async def look_at_access(self) -> None:
        """The sweep: applies losses whose notice never came."""
        narrowed = await self._gate.narrowed(self.access)
        if narrowed.access > self.access:
            await self._apply(narrowed.access)

    def _positions(self, streams: Iterable[Stream]) -> dict[Stream, int]:
        channels = self._hub.channels
        return {stream: channels[stream].head for stream in streams if stream in channels}

    def _stands(self, stream: Stream, head: Head, before: int) -> None:
        """The log's own word on a stream; `before` is where we stood when it was asked."""
        channel = self._hub.channels.get(stream)
        if channel is None:
            return
        if channel.epoch is None:
            rung = channel.rung
            self._hub.replace(channel, head.epoch, head.position)
            channel.rung = max(rung, head.position)
        elif channel.epoch != head.epoch or head.position < before:
            self._begin_anew(channel, head)
        else:
            channel.rung = max(channel.rung, head.position)
        self._fill_soon(channel)

    def _begin_anew(self, channel: Channel[StreamConnection], head: Head) -> None:
        """Another epoch, or a head below our own: everybody is reset, the operator told."""
        _log.error(
            "stream_replaced",
            stream=channel.stream,
            epoch=head.epoch,
            position=head.position,
            was=channel.head,
        )
        self.counts.epochs_changed += 1
        self._hub.replace(channel, head.epoch, head.position)
        for connection in tuple(channel.watchers.values()):
            watch = connection.delivery.watches.get(channel.stream)
            if watch is not None and watch.is_answered:  # the others hear from their Ask
                connection.permitted(channel.stream, watch.permit, head)

    # --- filling: log → watchers ----------------------------------------------------------------

    def _fill_soon(self, channel: Channel[StreamConnection]) -> None:
        if channel.is_behind and not channel.filling:
            channel.filling = True
            self._tasks.start(self._fill(channel), f"fill {channel.stream}")

    async def _fill(self, channel: Channel[StreamConnection]) -> None:
        try:
            while channel.is_behind and channel.watchers:
                page = await self._page(channel.stream, channel.head)
                if not channel.watchers:
                    break  # forgotten meanwhile: its last watcher left
                if page.epoch != channel.epoch:
                    head = (await self._log.heads([channel.stream]))[channel.stream]
                    self._stands(channel.stream, head, channel.head)
                elif page.events and page.events[0].position > channel.head + 1:
                    self._skip_trimmed(channel, page)
                elif not page.events:
                    channel.rung = channel.head  # rung falsely, or a reader that is behind: tick
                else:
                    await self._take_in_turns(channel, page)
        except Exception:  # noqa: BLE001  the tick begins again in a second
            self.counts.reads_failed += 1
            self._tell_fault("stream_not_read", stream=channel.stream)
        finally:
            channel.filling = False

    def _skip_trimmed(self, channel: Channel[StreamConnection], page: Page) -> None:
        """The log has let go of what we had not read: everybody here is told by a reset."""
        floor = page.events[0].position
        epoch = page.epoch
        self._hub.replace(channel, epoch, floor - 1)
        channel.rung = max(page.head, floor)
        place = Place(epoch, page.head, floor)
        for connection in tuple(channel.watchers.values()):
            watch = connection.delivery.watches.get(channel.stream)
            if watch is not None and watch.is_answered:
                connection.permitted(channel.stream, watch.permit, place)

    def _fits(self, channel: Channel[StreamConnection], page: Page) -> bool:
        return (
            not channel.filling
            and channel.epoch == page.epoch
            and page.access <= self.access
            and bool(page.events)
            and page.events[0].position == channel.head + 1
            and len(page.events) * self._offers(channel) <= OFFERS_PER_TURN
        )

    def _take(self, channel: Channel[StreamConnection], page: Page) -> None:
        for written in page.events:
            if channel.watchers:  # an offer may end the last of them
                self._fan_out(channel, written, more=written is not page.events[-1])

    async def _take_in_turns(self, channel: Channel[StreamConnection], page: Page) -> None:
        offers = 0
        epoch = channel.epoch
        for written in page.events:
            moved = channel.epoch != epoch or written.position != channel.head + 1
            if moved or not channel.watchers:
                return
            self._fan_out(channel, written, more=written is not page.events[-1])
            offers += self._offers(channel)
            if offers >= OFFERS_PER_TURN:
                offers = 0
                await asyncio.sleep(0)

    def _fan_out(self, channel: Channel[StreamConnection], written: Written, *, more: bool) -> None:
        """Framed once, kept, and handed to each watcher. No await: none can be skipped."""
        assert channel.epoch is not None, "a channel is filled once its head is known"
        event = self._frame(channel.stream, channel.epoch, written)
        self.counts.events += 1
        self._hub.keep(channel, event)
        now = self._now()
        stride = self._stride(channel)
        if stride is not None and stride.send(event, more=more) == len(channel.watchers):
            return
        for connection in tuple(channel.watchers.values()):
            if stride is None:
                connection.offer(event, now)
            elif connection.stride is not stride:
                connection.offer(event, now)
                connection.join(stride)

    def _stride(self, channel: Channel[StreamConnection]) -> Stride[StreamConnection] | None:
        """Those of its watchers who keep up, once there are many."""
        stride = self._strides.get(channel)
        if stride is None and len(channel.watchers) >= self._limits.in_step_from:
            stride = self._strides[channel] = Stride(channel.stream, self._limits)
        return stride

    def _offers(self, channel: Channel[StreamConnection]) -> int:
        """What one event costs, in offers: who is in step costs a tenth of one."""
        stride = self._strides.get(channel)
        in_step = 0 if stride is None else len(stride)
        return len(channel.watchers) - in_step + in_step // 10

    # --- pages ----------------------------------------------------------------------------------

    async def _page(self, stream: Stream, after: int) -> Page:
        """One read for all who want the same, held back until `access` was applied."""
        key = (stream, after)
        task = self._reading.get(key)
        if task is None:
            task = self._tasks.start(self._read_log(stream, after), f"read {stream}")
            self._reading[key] = task
            task.add_done_callback(lambda _: self._reading.pop(key, None))
        else:
            self.counts.pages_joined += 1
        page = await asyncio.shield(task)
        if isinstance(page, Exception):
            raise page
        if page.access > self.access:
            self.counts.pages_held += 1
            await self._apply(page.access)
        return page

    async def _read_log(self, stream: Stream, after: int) -> Page | Exception:
        async with self._slots:
            self.counts.pages_read += 1
            try:
                return await self._log.read(stream, after)
            except Exception as fault:  # noqa: BLE001  handed to all who wait for it
                return fault

    def read(self, connection: StreamConnection, stream: Stream, after: int) -> None:
        """Answers a delivery's Read, sooner or later, as long as it wants the answer."""
        self._tasks.start(self._answer_read(connection, stream, after), f"page {stream}")

    async def _answer_read(self, connection: StreamConnection, stream: Stream, after: int) -> None:
        tries = 0
        while self._wants(connection, stream, after):
            try:
                page = await self._page_for(stream, after)
            except Exception:  # noqa: BLE001  as long as the store is away its readers wait
                self.counts.reads_failed += 1
                self._tell_fault("page_not_read", stream=stream, after=after)
                page = None
            if page is not None:
                await self._hand(connection, stream, page)
                return
            await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    async def _hand(self, connection: StreamConnection, stream: Stream, page: FramedPage) -> None:
        """In turn: thousands who come back at once must not keep the loop from all others."""
        await self._handing.acquire()
        asyncio.get_running_loop().call_soon(self._handing.release)
        connection.page(stream, page)

    def _wants(self, connection: StreamConnection, stream: Stream, after: int) -> bool:
        watch = connection.delivery.watches.get(stream)
        return connection.closed is None and watch is not None and watch.reading == after

    async def _page_for(self, stream: Stream, after: int) -> FramedPage | None:
        """Kept frames if they reach up to a head just read, else the log; None: ask again."""
        channel = self._hub.channels.get(stream)
        if channel is None:
            return None
        if self._hub.kept_page(channel, after) is not None:
            head = (await self._heads((stream,)))[stream]
            if (head.epoch, head.position) == (channel.epoch, channel.head):
                kept = self._hub.kept_page(channel, after)
                if kept is not None:
                    self.counts.pages_kept += 1
                    return kept
        page = await self._page(stream, after)
        if page.epoch != channel.epoch:
            await self._heads((stream,))  # finds the new epoch and resets the watchers
            return None
        if page.events and page.events[0].position != after + 1:
            await self._trimmed_under(channel)
            return None
        if not page.events and page.head > after:
            return None
        return self._framed_once(stream, after, page)

    def _framed_once(self, stream: Stream, after: int, page: Page) -> FramedPage:
        """For all who shared the read: they are answered one after the other."""
        framed = self._framed
        if framed is None or framed[0] is not page or framed[1].after != after:
            events = tuple(self._frame(stream, page.epoch, written) for written in page.events)
            framed = page, FramedPage(epoch=page.epoch, after=after, events=events, head=page.head)
            self._framed = framed
        return framed[1]

    def _tell_fault(self, event: str, **fields: object) -> None:
        """Once a second of a kind: thousands may wait for one store, and a traceback takes 1 ms."""
        told_at, untold = self._faults_told.get(event, (self._now() - FAULT_EVERY_MS, 0))
        if self._now() < told_at + FAULT_EVERY_MS:
            self._faults_told[event] = told_at, untold + 1
            return
        self._faults_told[event] = self._now(), 0
        _log.warning(event, untold=untold, exc_info=True, **fields)

    def _frame(self, stream: Stream, epoch: str, written: Written) -> FramedEvent:
        """Live or from a page: a body that cannot be carried is never passed over in silence."""
        event = frame_event(stream, epoch, written.position, written.body, written.voids)
        if not event.readable:
            self.counts.unreadable += 1
            _log.error("event_unreadable", stream=stream, position=written.position)
        return event

    async def _trimmed_under(self, channel: Channel[StreamConnection]) -> None:
        """Readers below the floor are told so; the others are not touched."""
        head = (await self._heads((channel.stream,)))[channel.stream]
        for connection in tuple(channel.watchers.values()):
            watch = connection.delivery.watches.get(channel.stream)
            if watch is not None and watch.is_answered and watch.sent + 1 < head.floor:
                connection.permitted(channel.stream, watch.permit, head)

    async def _heads(self, streams: Collection[Stream]) -> Mapping[Stream, Head]:
        """Heads read after this call. While one statement runs, the next gathers."""
        done: asyncio.Future[dict[Stream, Head]] = asyncio.get_running_loop().create_future()
        self._heads_asked.append((streams, done))
        if self._heads_task is None:
            self._heads_task = self._tasks.start(self._ask_heads(), "heads")
        return await done

    async def _ask_heads(self) -> None:
        try:
            while self._heads_asked:
                asked, self._heads_asked = self._heads_asked, []
                wanted = sorted({stream for streams, _ in asked for stream in streams})
                try:
                    heads = await self._read_heads(wanted)
                except Exception as fault:  # noqa: BLE001  handed to those who asked
                    for _, done in asked:
                        if not done.done():
                            done.set_exception(fault)
                    continue
                for _, done in asked:
                    if not done.done():
                        done.set_result(heads)
        finally:
            self._heads_task = None

    async def _read_heads(self, streams: Sequence[Stream]) -> dict[Stream, Head]:
        heads: dict[Stream, Head] = {}
        for first in range(0, len(streams), HEADS_PER_STATEMENT):
            some = streams[first : first + HEADS_PER_STATEMENT]
            before = self._positions(some)
            heads.update(await self._log.heads(some))
            for stream in some:
                self._stands(stream, heads[stream], before.get(stream, 0))
        return heads

    # --- permits --------------------------------------------------------------------------------

    def ask(self, connection: StreamConnection, streams: Sequence[Stream]) -> None:
        """Answers a delivery's Ask, sooner or later, as long as it wants the answer."""
        watches = connection.delivery.watches
        asked = {stream: watches[stream] for stream in streams}
        self._tasks.start(self._answer_ask(connection, asked), f"ask {connection.id}")

    async def recheck(self, connection: StreamConnection, streams: Sequence[Stream]) -> None:
        """Rights changed: asks again for what is watched already; returns once applied."""
        whys: dict[Stream, UnwatchedWhy | None] = dict.fromkeys(streams)
        await self._permit_again(connection, whys, self._access_known)

    async def _answer_ask(
        self, connection: StreamConnection, asked: Mapping[Stream, Watch]
    ) -> None:
        tries = 0
        while connection.closed is None:
            waiting = [s for s, watch in asked.items() if self._open(connection, s, watch)]
            if not waiting or not await self._admitted(connection):
                return
            try:
                answered = await self._try_ask(connection, waiting, asked)
            except Exception:  # noqa: BLE001  as long as the store is away its watchers wait
                self._tell_fault("permits_not_read", connection=connection.id)
                answered = False
            finally:
                self._identifying.release()
            if not answered:
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1

    def _open(self, connection: StreamConnection, stream: Stream, watch: Watch) -> bool:
        """Whether this Ask still waits: the stream may have been left or watched anew."""
        return connection.delivery.watches.get(stream) is watch and watch.standing is Standing.ASKED

    async def _admitted(self, connection: StreamConnection) -> bool:
        """At most 200 ask at once; who waits over 5 s is told to come back."""
        if not self._identifying.locked():
            await self._identifying.acquire()
            return True
        try:
            async with asyncio.timeout(self._limits.identify_wait_ms / 1_000):
                await self._identifying.acquire()
        except TimeoutError:
            connection.leave(Code.OVERLOADED, OVERLOADED_RETRY_MS)
            return False
        return True

    async def _try_ask(
        self,
        connection: StreamConnection,
        streams: Sequence[Stream],
        asked: Mapping[Stream, Watch],
    ) -> bool:
        """One round; False if some stream has to be asked again."""
        heads = await self._heads(streams)
        for stream in streams:
            await self._load_signs(stream)
        permits = await self._gate.permits(connection.who, connection.login, streams)
        if permits.access < self._access_known:
            return False
        answered = True
        for stream in streams:
            if self._open(connection, stream, asked[stream]):
                place = self._place(stream, heads[stream])
                if place is None:
                    answered = False
                else:
                    answer = permits.permits.get(stream)
                    connection.permitted(stream, answer or Denied(), place)
        return answered

    def _place(self, stream: Stream, head: Head) -> Place | None:
        """The head as this node stands now; None if the stream was replaced meanwhile."""
        channel = self._hub.channels[stream]
        if channel.epoch != head.epoch:
            return None
        return Place(head.epoch, max(head.position, channel.head), head.floor)

    async def _load_signs(self, stream: Stream) -> None:
        channel = self._hub.channels.get(stream)
        if channel is None or channel.signs_loaded:
            return
        task = self._signs_read.get(stream)
        if task is None:
            task = self._tasks.start(self._read_signs(stream), f"signs {stream}")
            self._signs_read[stream] = task
            task.add_done_callback(lambda _: self._signs_read.pop(stream, None))
        await asyncio.shield(task)

    async def _read_signs(self, stream: Stream) -> None:
        seen = self._hub.signs_seen
        try:
            signs = await self._gate.signs(stream)
            channel = self._hub.channels.get(stream)
            if channel is not None:
                self._hub.load_signs(channel, signs, seen, self._now())
        except Exception:  # noqa: BLE001  a stream goes live without its signs rather than not at all
            self._tell_fault("signs_not_read", stream=stream)

    # --- losses of sight ------------------------------------------------------------------------

    async def _apply(self, access: int) -> None:
        """Returns once every loss up to `access` was applied here. Raises if it cannot be."""
        while self.access < access:
            if self._narrowing is None:
                self._narrowing = self._tasks.start(self._narrow(), "narrow")
            await asyncio.shield(self._narrowing)
            if self._narrowing_fault is not None:
                raise self._narrowing_fault
            if self.access < access:  # a gate that lags behind its log
                await asyncio.sleep(RETRY_S[0])

    async def _narrow(self) -> None:
        self._narrowing_fault = None
        try:
            narrowed = await self._gate.narrowed(self.access)
            self._access_known = max(self._access_known, narrowed.access)
            await self._apply_losses(narrowed)
            self.access = max(self.access, narrowed.access)
        except Exception as fault:  # noqa: BLE001  handed to all whose page is held
            self._narrowing_fault = fault
        finally:
            self._narrowing = None

    async def _apply_losses(self, narrowed: Narrowed) -> None:
        hit: dict[ConnectionId, tuple[StreamConnection, dict[Stream, UnwatchedWhy | None]]] = {}
        for loss in narrowed.losses:
            for connection in self._concerned(loss):
                watches = connection.delivery.watches
                streams = watches if loss.stream is None else {loss.stream} & watches.keys()
                _, whys = hit.setdefault(connection.id, (connection, {}))
                for stream in streams:
                    whys[stream] = _WHY.get(loss.why)
        await asyncio.gather(
            *(self._permit_again(c, whys, narrowed.access) for c, whys in hit.values())
        )

    def _concerned(self, loss: Loss) -> list[StreamConnection]:
        if loss.principal is None:
            connections: Iterable[PlainConnection | StreamConnection]
            connections = self._hub.connections.values()
        else:
            connections = self._hub.of(Principal(*loss.principal))
        return [
            connection
            for connection in connections
            if isinstance(connection, StreamConnection) and loss.login in (None, connection.login)
        ]

    async def _permit_again(
        self,
        connection: StreamConnection,
        whys: Mapping[Stream, UnwatchedWhy | None],
        access: int,
    ) -> None:
        """Watches that are still ASKED are left to their own Ask, which sees `_access_known`."""
        if not whys:
            return
        permits = await self._permits_under(connection, list(whys), access)
        for stream, why in whys.items():
            watch = connection.delivery.watches.get(stream)
            channel = self._hub.channels.get(stream)
            if watch is None or channel is None or watch.standing is Standing.ASKED:
                continue
            answer = permits.permits.get(stream)
            place = Place(watch.epoch, max(channel.head, watch.head), 0)
            connection.permitted(stream, answer or Denied(why), place)

    async def _permits_under(
        self, connection: StreamConnection, streams: Sequence[Stream], access: int
    ) -> Permits:
        async with self._slots:
            while True:
                permits = await self._gate.permits(connection.who, connection.login, streams)
                if permits.access >= access:
                    return permits
                await asyncio.sleep(RETRY_S[0])
