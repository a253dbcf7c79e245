"""Bugs outside the room: in the store and in clients. The rules have to see those as well."""

from __future__ import annotations

from collections.abc import Callable

from deskwire.realtime.log import Stream
from tests.simulation.client import Book, Client, Snapshot
from tests.simulation.runs import Patches
from tests.simulation.store import Store
from tests.simulation.world import World


def snapshot_and_head_from_two_transactions(patches: Patches) -> None:
    def torn(
        self: World, client: Client, stream: Stream, take: Callable[[Snapshot | None], None]
    ) -> None:
        def heads(state: Snapshot | None) -> None:
            again = self.store.snapshot(client.who, client.login, stream)
            if state is None or again is None:
                take(None)
            else:
                take((again[0], again[1], again[2], state[3]))

        def state() -> None:
            read = self.store.snapshot(client.who, client.login, stream)
            self.loop.call_later(client.dice.random() * 0.05, heads, read)

        self.loop.call_later(client.dice.random() * 0.05, state)

    patches.set(World, "snapshot", torn)


def a_restore_keeps_the_epoch(patches: Patches) -> None:
    patches.set(Store, "restores_with_new_epoch", False)


def a_gap_is_applied(patches: Patches) -> None:
    class Careless(Client):
        def is_next(self, book: Book, position: int) -> bool:
            return position > book.position

    patches.set(World, "client_type", Careless)


def the_position_is_saved_first(patches: Patches) -> None:
    class Hasty(Client):
        def is_next(self, book: Book, position: int) -> bool:
            fits = super().is_next(book, position)
            if fits:
                for stream, mine in self.held.items():
                    if mine is book and stream in self.saved:
                        self.saved[stream].position = position
            return fits

    patches.set(World, "client_type", Hasty)


def an_ack_on_receipt(patches: Patches) -> None:
    class Eager(Client):
        def received(self, stream: Stream) -> None:
            self._send({"op": "ack", "positions": {stream: self.held[stream].position}})
            super().received(stream)

    patches.set(World, "client_type", Eager)
