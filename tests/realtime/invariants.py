"""What must hold of a Delivery after every step, as far as one object can see."""

from __future__ import annotations

from deskwire.realtime.delivery import Delivery, Phase
from deskwire.realtime.watch import Standing


def check(delivery: Delivery) -> None:
    """D2, D3, D6, D7. What crosses steps (D1, D4, D5) is checked by whoever sees the frames."""
    _acked_below_sent_below_head(delivery)
    _within_bounds(delivery)
    _pages_in_turn(delivery)
    if delivery.phase is Phase.CLOSED:
        assert not delivery.held_back, "D6"
        assert not delivery.watches, "D6"


def _acked_below_sent_below_head(delivery: Delivery) -> None:
    for watch in delivery.watches.values():
        if watch.standing is not Standing.ASKED:
            assert watch.acked <= watch.sent <= watch.head, f"D2 {watch}"
            assert len(watch.unacked) == watch.sent - watch.acked, f"D2 {watch}"


def _within_bounds(delivery: Delivery) -> None:
    limits, window, backlog = delivery.limits, delivery._window, delivery.backlog
    unacked = [watch.unacked for watch in delivery.watches.values()]
    assert window.events == sum(map(len, unacked)) <= limits.unacked_events, "D3"
    assert window.bytes == sum(map(sum, unacked)) <= limits.unacked_bytes, "D3"
    waiting = [item.size for item in backlog._items if not isinstance(item, str)]
    assert backlog._bytes == sum(waiting) <= limits.waiting_bytes, "D3"
    assert len(backlog._signs) <= limits.coalesced_signs, "D3"


def _pages_in_turn(delivery: Delivery) -> None:
    reading = {s for s, watch in delivery.watches.items() if watch.reading is not None}
    behind = {s for s, w in delivery.watches.items() if w.standing is Standing.BEHIND}
    assert reading <= behind, "D7"
    assert delivery._reads == len(reading), "D7"
    if delivery.phase is Phase.OPEN:
        assert set(delivery._turn) == behind - reading, "D7"
        if delivery._may_read():
            assert reading or not behind, "D7"
