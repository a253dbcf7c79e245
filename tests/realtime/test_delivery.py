"""Delivery: every cell of both tables, the bounds at their edge and past it, the ladder."""

from __future__ import annotations

from typing import Any

import pytest

from deskwire.realtime import frames
from deskwire.realtime.delivery import NEVER, Phase
from deskwire.realtime.gate import Permit
from deskwire.realtime.limits import Limits
from deskwire.realtime.outputs import Abort, Close, Tell, Write
from deskwire.realtime.watch import Denied, Standing
from tests.realtime.deliveries import (
    EPOCH,
    LOGIN_MS,
    UNIX,
    At,
    Bench,
    event,
    identify,
    page,
    sign,
)

ACK = frames.Ack(positions={"s": 1})


def leaving() -> Bench:
    """In LEAVING with its close begun."""
    return Bench().live().leave()


def closed() -> Bench:
    return Bench().live().lost()


# --- connection table: NEW -----------------------------------------------------------------------


def test_new_identify_gives_hello_then_asks() -> None:
    bench = Bench().opened({"s": None, "t": [EPOCH, 3]})

    assert bench.ops == ["hello", "Ask"]
    assert bench.asks == ["s", "t"]
    assert bench.delivery.phase is Phase.OPEN


def test_new_hello_comes_at_once_even_with_no_stream() -> None:
    bench = Bench().opened()

    assert bench.ops == ["hello"]
    assert bench.the("hello") == {
        "op": "hello", "connection": "c-1", "node": "n-1", "now": UNIX, "heartbeat_ms": 20_000,
        "silence_ms": 35_000, "login_until": UNIX + LOGIN_MS,
        "limits": {
                "watches": 200, "frame_bytes": 32_768, "frames_per_s": 20,
                "ack_ms": 2_000, "ack_events": 64, "ack_bytes": 65_536,
            },
    }  # fmt: skip


def test_new_a_small_window_is_acknowledged_before_it_holds_up_the_next_page() -> None:
    bench = Bench(limits=Limits(unacked_bytes=70_000)).opened()

    size = bench.the("hello")["limits"]["ack_bytes"]
    assert 0 < size < 70_000 - frames.EVENT_FRAME_BYTES_MAX


@pytest.mark.parametrize(
    "frame",
    [ACK, frames.Watch(watch={}), frames.Pong(), frames.UnknownOp("x"), frames.FrameTooLarge("x"),
     frames.MalformedFrame("json")],
)  # fmt: skip
def test_new_anything_but_identify_leaves_4501(frame: Any) -> None:
    bench = Bench().receive(frame)

    assert bench.ops == ["bye", "Close"]
    assert bench.closed == 4501


def test_new_an_unknown_protocol_leaves_4502() -> None:
    assert Bench().receive(frames.UnsupportedProtocol("identify")).closed == 4502


def test_new_permitted_offer_and_page_are_our_bug() -> None:
    for step in ("permitted", "offer", "page"):
        bench = Bench()
        arguments: dict[str, tuple[Any, ...]] = {
            "permitted": (Permit(), At(position=1)), "offer": (event(1),), "page": (page(0, 1),),
        }  # fmt: skip
        with pytest.raises(AssertionError):
            getattr(bench, step)(*arguments[step])


def test_new_ephemerals_are_dropped_and_writable_does_nothing() -> None:
    assert Bench().ephemeral(sign()).ops == []
    assert Bench().writable().ops == []


def test_new_ten_seconds_without_identify_leave_4008() -> None:
    bench = Bench()

    assert bench.tick(9_999).ops == []
    assert bench.delivery.due_at == bench.now + 1
    assert bench.tick(1).closed == 4008


def test_new_leave_says_bye() -> None:
    bench = Bench().leave()

    assert bench.the("bye") == {"op": "bye", "code": 4001, "why": "drain", "retry_ms": [500, 4000]}
    assert bench.delivery.phase is Phase.LEAVING


def test_new_lost_is_closed() -> None:
    bench = Bench().lost()

    assert bench.delivery.phase is Phase.CLOSED
    assert bench.delivery.ended == (1006, "lost")
    assert bench.delivery.due_at == NEVER


# --- connection table: OPEN ----------------------------------------------------------------------


def test_open_a_second_identify_leaves_4501() -> None:
    assert Bench().opened().receive(identify()).closed == 4501


def test_open_malformed_leaves_4501() -> None:
    assert Bench().opened().receive(frames.MalformedFrame("json")).closed == 4501


def test_open_leave_says_bye_then_closes() -> None:
    bench = Bench().live().leave(4506, None)

    assert bench.ops == ["bye", "Close"]
    assert bench.the("bye") == {"op": "bye", "code": 4506, "why": "kicked", "retry_ms": None}


def test_open_lost_is_closed_and_ends_what_was_shown() -> None:
    bench = Bench().live()
    bench.receive(frames.Viewing(stream="s", on=True))
    bench.receive(frames.Typing(stream="s", on=True))

    bench.lost()

    assert bench.told == [
        frames.Viewing(stream="s", on=False), frames.Typing(stream="s", on=False)
    ]  # fmt: skip
    assert bench.delivery.phase is Phase.CLOSED


def test_open_the_heartbeat_pings_with_the_heads_not_acknowledged() -> None:
    bench = Bench().live(5)
    bench.offer(event(6))

    assert bench.tick(6_999).ops == []
    bench.tick(1, {"s": 7, "other": 9})

    assert bench.the("ping") == {"op": "ping", "now": UNIX + 7_000, "heads": {"s": 7}}
    bench.receive(frames.Pong(positions={"s": 6}))
    bench.offer(event(7)).receive(frames.Ack(positions={"s": 7}))
    assert bench.tick(20_000).the("ping") == {"op": "ping", "now": UNIX + 27_000}


def test_open_ten_seconds_unanswered_leave_4003() -> None:
    bench = Bench().live()
    bench.tick(7_000)

    assert bench.tick(9_999).ops == []
    assert bench.tick(1).closed == 4003


def test_open_who_answers_nothing_with_a_full_window_is_slow() -> None:
    bench = Bench().live(0)
    for n in range(1, 258):
        bench.offer(event(n))
    bench.tick(7_000)

    assert bench.tick(9_999).closed is None
    assert bench.tick(1).closed == 4002


def test_open_any_inbound_frame_proves_the_peer() -> None:
    bench = Bench().live()
    bench.tick(7_000)
    bench.tick(9_000).receive(frames.Visibility(visible=False))

    assert bench.tick(1_000).closed is None
    assert bench.delivery.visible is False


def test_open_ten_seconds_not_writable_abort_recorded_as_4002() -> None:
    bench = Bench(room=80_000).live().stops_reading()
    while bench.delivery.watches["s"].standing is Standing.LIVE:
        bench.offer(event(bench.delivery.watches["s"].head + 1, size=9_000))

    assert not bench.tick(9_999).aborted
    bench.tick(1)

    assert bench.ops[-1] == "Abort"
    assert bench.delivery.ended == (4002, "slow")
    assert bench.delivery.phase is Phase.CLOSED


def test_open_who_takes_nothing_is_slow_and_not_silent() -> None:
    bench = Bench(room=80_000).live()
    while bench.delivery.pulse.pong_due is None:  # asked while it still read
        bench.tick(1_000)
    bench.stops_reading()
    while bench.delivery.watches["s"].standing is Standing.LIVE:
        bench.offer(event(bench.delivery.watches["s"].head + 1, size=9_000))

    bench.tick(bench.delivery.pulse.pong_due - bench.now)

    assert bench.ops[-1] == "Abort"
    assert bench.delivery.ended == (4002, "slow")


def test_open_thirty_seconds_without_progress_leave_4002() -> None:
    bench = Bench().live(0)
    for n in range(1, 258):  # a peer that reads and never acknowledges
        bench.offer(event(n))
    assert bench.delivery.watches["s"].standing is Standing.BEHIND
    for _ in range(2):
        bench.tick(14_000).receive(frames.Pong())

    assert bench.tick(1_999).closed is None
    assert bench.tick(1).closed == 4002


def test_open_the_login_is_warned_of_renewed_and_ended() -> None:
    bench = Bench().opened()
    _pong_until(bench, LOGIN_MS - 60_000)

    until = UNIX + LOGIN_MS
    assert bench.the("login") == {"op": "login", "until": until, "renew": True}
    bench._step(bench.delivery.renewed(until + 60_000, bench.now))
    assert bench.the("login") == {"op": "login", "until": until + 60_000, "renew": False}
    _pong_until(bench, 60_000)
    assert bench.the("login")["renew"] is True
    _pong_until(bench, 60_000 + 29_999)
    assert bench.closed is None
    assert bench.tick(1).closed == 4005


def _pong_until(bench: Bench, after_ms: int) -> None:
    """Answers heartbeats for so long, and ends with a tick exactly then."""
    end = bench.now + after_ms
    while bench.now < end:
        bench.receive(frames.Pong())
        bench.tick(min(bench.delivery.due_at, end) - bench.now or 1)
    if bench.now > end:
        raise AssertionError("overshot")


def test_open_writable_writes_the_backlog_then_the_next_page_in_turn() -> None:
    bench = Bench(room=100_000).opened({"s": [EPOCH, 0], "t": [EPOCH, 0]}).stops_reading()
    bench.permitted(Permit(), At(position=9), "s").permitted(Permit(), At(position=9), "t")
    bench.page(page(0, 9, size=20_000))
    bench.page(page(0, 9, size=20_000, stream="t"), "t")
    assert bench.reads == []

    bench.writable()

    assert bench.reads == [("s", 4)]
    bench.page(page(4, 9))
    assert bench.lives == [("s", 9)]
    assert bench.writable().reads == [("t", 0)]


# --- connection table: LEAVING and CLOSED --------------------------------------------------------


def test_leaving_acks_and_marks_are_reported_the_rest_ignored() -> None:
    bench = Bench().live(3)
    bench.offer(event(4)).offer(event(5)).leave()

    assert bench.receive(frames.Ack(positions={"s": 4})).told == [frames.Ack(positions={"s": 4})]
    bench.receive(frames.Mark(stream="s", read=5))
    assert bench.told == [frames.Ack(positions={"s": 5}), frames.Mark(stream="s", read=5)]
    for frame in (identify(), frames.Watch(watch={"t": None}), frames.MalformedFrame("x")):
        assert bench.receive(frame).did == ()


def test_leaving_ignores_answers_events_pages_and_ephemerals() -> None:
    bench = leaving()

    assert bench.permitted(Permit(), At(position=9)).did == ()
    assert bench.offer(event(6)).did == ()
    assert bench.page(page(5, 6)).did == ()
    assert bench.ephemeral(sign()).did == ()


def test_leaving_writable_writes_backlog_bye_close() -> None:
    bench = Bench(room=0).stops_reading().opened()
    bench.receive(frames.Probe(n=1)).receive(frames.Probe(n=2)).leave()
    assert bench.ops == []

    bench.writable(10_000)

    assert bench.ops == ["hello", "alive", "alive", "bye", "Close"]


def test_leaving_two_seconds_over_abort() -> None:
    bench = leaving()

    assert not bench.tick(1_999).aborted
    assert bench.tick(1).ops == ["Abort"]
    assert bench.delivery.ended == (4001, "drain")


def test_leaving_the_first_code_stands() -> None:
    bench = leaving().leave(4506, None)

    assert bench.did == ()
    assert bench.lost().delivery.ended == (4001, "drain")


def test_closed_ignores_everything() -> None:
    bench = closed()

    assert bench.receive(ACK).did == ()
    assert bench.permitted(Permit(), At(position=9)).did == ()
    assert bench.offer(event(6)).did == ()
    assert bench.page(page(5, 6)).did == ()
    assert bench.ephemeral(sign()).did == ()
    assert bench.writable().did == ()
    assert bench.tick(100_000).did == ()
    assert bench.leave().did == ()
    assert bench.lost().did == ()


# --- watch table: none ---------------------------------------------------------------------------


def test_none_watch_asks() -> None:
    bench = Bench().opened().receive(frames.Watch(watch={"s": None}))

    assert bench.asks == ["s"]
    assert bench.delivery.watches["s"].standing is Standing.ASKED


def test_none_unwatch_is_an_error() -> None:
    bench = Bench().opened().receive(frames.Unwatch(streams=("s", "t")))

    assert bench.the("error") == {
        "op": "error", "code": "not_watching", "about": "unwatch", "stream": "s"
    }  # fmt: skip


def test_none_ignores_permitted_offer_page_and_ack() -> None:
    bench = Bench().opened()

    assert bench.permitted(Permit(), At(position=9)).did == ()
    assert bench.offer(event(1)).did == ()
    assert bench.page(page(0, 1)).did == ()
    assert bench.receive(ACK).did == ()


# --- watch table: ASKED --------------------------------------------------------------------------


def test_asked_watch_the_newest_place_counts() -> None:
    bench = Bench().asked([EPOCH, 1]).receive(frames.Watch(watch={"s": (EPOCH, 4)}))
    assert bench.asks == []

    bench.permitted(Permit(), At(position=5))

    assert bench.the("watched")["position"] == 4


def test_asked_unwatch_ends_it() -> None:
    bench = Bench().asked().receive(frames.Unwatch(streams=("s",)))

    assert bench.did == ()
    assert bench.permitted(Permit(), At(position=5)).did == ()


def test_asked_at_the_head_is_watched_and_live() -> None:
    bench = Bench().asked([EPOCH, 5]).permitted(Permit(), At(position=5))

    assert bench.ops == ["watched", "Tell", "Live"]
    assert bench.lives == [("s", 5)]
    assert bench.told == [frames.Ack(positions={"s": 5})]


def test_asked_below_the_head_is_watched_and_read() -> None:
    bench = Bench().asked([EPOCH, 2]).permitted(Permit(), At(position=5))

    assert bench.ops == ["watched", "Tell", "Read"]
    assert bench.the("watched") == {
        "op": "watched", "stream": "s", "epoch": EPOCH, "position": 2, "head": 5
    }  # fmt: skip
    assert bench.reads == [("s", 2)]


@pytest.mark.parametrize(
    "place, permit, head, why",
    [
        (["epoch-00", 3], Permit(), At(position=5), "epoch"),
        ([None, 3], Permit(), At(position=5), "epoch"),
        ([EPOCH, 6], Permit(), At(position=5), "ahead"),
        ([EPOCH, 5], Permit(until=4), At(position=9), "ahead"),
        ([EPOCH, 3], Permit(), At(position=9, floor=5), "trimmed"),
        ([EPOCH, 3], Permit(until=4), At(position=9, floor=6), "trimmed"),
        ([EPOCH, 3], Permit(after=4), At(position=9), "trimmed"),
        ([EPOCH, 0], Permit(), At(position=5_001), "far"),
    ],
)
def test_what_cannot_resume_is_reset(place: Any, permit: Permit, head: At, why: str) -> None:
    bench = Bench().asked(place).permitted(permit, head)

    assert bench.ops == ["reset"]
    end = head.position if permit.until is None else min(head.position, permit.until)
    assert bench.the("reset") == {
        "op": "reset", "stream": "s", "epoch": EPOCH, "head": end, "why": why
    }  # fmt: skip
    assert "s" not in bench.delivery.watches


@pytest.mark.parametrize(
    "place, permit, head, position",
    [
        (None, Permit(), At(position=5), 5),
        (None, Permit(until=3), At(position=5), 3),
        ([None, 0], Permit(), At(position=5), 0),
        ([None, 0], Permit(), At(position=5, floor=3), 2),
        ([None, 0], Permit(after=4), At(position=5, floor=3), 4),
        ([EPOCH, 4], Permit(after=4), At(position=5), 4),
        ([None, 0], Permit(after=4), At(position=3), 4),  # the head was read before the permit
        (None, Permit(after=4), At(position=3), 4),
        ([EPOCH, 2], Permit(), At(position=5, floor=3), 2),
        ([EPOCH, 0], Permit(), At(position=5_000), 0),
        ([EPOCH, 4], Permit(until=4), At(position=9), 4),
        ([EPOCH, 4], Permit(until=4), At(position=9, floor=8), 4),  # a snapshot of who has left
    ],
)
def test_what_can_resume_is_watched_where_it_stands(
    place: Any, permit: Permit, head: At, position: int
) -> None:
    assert Bench().asked(place).permitted(permit, head).the("watched")["position"] == position


def test_who_may_see_from_above_a_head_read_before_is_written_nothing_below_it() -> None:
    bench = Bench().asked([None, 0]).permitted(Permit(after=1), At(position=0))

    assert bench.offer(event(1)).ops == []
    assert bench.offer(event(2)).ops == ["event"]


def test_asked_no_is_unwatched() -> None:
    bench = Bench().asked().permitted(Denied(), At(position=5))

    assert bench.ops == ["unwatched"]
    assert bench.the("unwatched") == {"op": "unwatched", "stream": "s", "why": "denied"}


def test_asked_offer_raises_the_head() -> None:
    bench = Bench().asked([EPOCH, 5]).offer(event(6))
    assert bench.did == ()

    assert bench.permitted(Permit(), At(position=5)).the("watched")["head"] == 6
    assert bench.reads == [("s", 5)]


def test_asked_ignores_page_and_ack() -> None:
    bench = Bench().asked()

    assert bench.page(page(0, 1)).did == ()
    assert bench.receive(frames.Ack(positions={"s": 99})).did == ()


# --- watch table: BEHIND -------------------------------------------------------------------------


def test_behind_watch_asks_anew_and_the_old_page_is_ignored() -> None:
    bench = Bench().behind().receive(frames.Watch(watch={"s": (EPOCH, 3)}))

    assert bench.asks == ["s"]
    assert bench.page(page(0, 5)).did == ()
    assert bench.permitted(Permit(), At(position=5)).reads == [("s", 3)]
    assert bench.page(page(0, 5)).did == ()
    assert bench.page(page(3, 5)).positions == [4, 5]


def test_behind_unwatch_ends_it() -> None:
    bench = Bench().behind().receive(frames.Unwatch(streams=("s",)))

    assert bench.page(page(0, 5)).did == ()


def test_behind_no_is_unwatched() -> None:
    bench = Bench().behind().permitted(Denied("left"), At(position=5))

    assert bench.the("unwatched")["why"] == "left"
    assert bench.page(page(0, 5)).did == ()


def test_behind_offer_raises_the_head_and_is_not_written() -> None:
    bench = Bench().behind(0, 5).offer(event(6))
    assert bench.did == ()

    bench.page(page(0, 5, head=5))

    assert bench.positions == [1, 2, 3, 4, 5]
    assert bench.reads == [("s", 5)]


def test_behind_a_page_to_the_head_goes_live() -> None:
    bench = Bench().behind(2, 5).page(page(2, 5))

    assert bench.ops == ["event", "event", "event", "Live"]
    assert bench.lives == [("s", 5)]


def test_behind_a_page_of_another_start_is_ignored() -> None:
    bench = Bench().behind(2, 5)

    assert bench.page(page(1, 5)).did == ()
    assert bench.page(page(3, 5)).did == ()


def test_behind_a_page_is_written_as_far_as_there_is_room() -> None:
    bench = Bench(room=70_000).behind(0, 9).stops_reading()
    bench.page(page(0, 9, size=20_000))
    assert bench.positions == [1, 2, 3]
    assert bench.reads == []

    bench.writable()

    assert bench.reads == [("s", 3)]


def test_behind_a_page_of_another_epoch_is_a_reset() -> None:
    bench = Bench().behind(0, 5).page(page(0, 3, epoch="epoch-02"))

    assert bench.the("reset") == {
        "op": "reset", "stream": "s", "epoch": "epoch-02", "head": 3, "why": "epoch"
    }  # fmt: skip


def test_behind_ack_rises_and_above_what_was_sent_leaves_4501() -> None:
    bench = Bench().behind(0, 9)
    bench.page(page(0, 4, head=9))

    assert bench.receive(frames.Ack(positions={"s": 3})).told == [frames.Ack(positions={"s": 3})]
    assert bench.receive(frames.Ack(positions={"s": 2})).told == []
    assert bench.receive(frames.Ack(positions={"s": 5})).closed == 4501


# --- watch table: LIVE ---------------------------------------------------------------------------


def test_live_watch_asks_anew() -> None:
    bench = Bench().live(5).receive(frames.Watch(watch={"s": (EPOCH, 2)}))

    assert bench.asks == ["s"]
    assert bench.permitted(Permit(), At(position=5)).reads == [("s", 2)]


def test_live_unwatch_ends_it() -> None:
    bench = Bench().live().receive(frames.Unwatch(streams=("s",)))

    assert bench.did == ()
    assert bench.offer(event(6)).did == ()


def test_live_no_is_unwatched_as_revoked() -> None:
    assert Bench().live().permitted(Denied(), At(position=5)).the("unwatched")["why"] == "revoked"


def test_live_the_next_is_written_at_once() -> None:
    assert Bench().live(5).offer(event(6)).positions == [6]


def test_live_what_was_sent_is_ignored() -> None:
    assert Bench().live(5).offer(event(5)).did == ()


def test_live_a_gap_is_read_before_anything_newer_goes_out() -> None:
    bench = Bench().live(5).offer(event(8))

    assert bench.ops == ["Read"]
    assert bench.reads == [("s", 5)]
    assert bench.offer(event(9)).did == ()
    assert bench.page(page(5, 9)).positions == [6, 7, 8, 9]
    assert bench.lives == [("s", 9)]


def test_live_without_room_goes_behind_and_queues_nothing() -> None:
    bench = Bench(room=70_000).live(0).stops_reading()
    for n in range(1, 5):
        bench.offer(event(n, size=20_000))

    assert bench.positions == []
    assert bench.delivery.watches["s"].standing is Standing.BEHIND
    assert bench.writable().ops == ["Read"]


def test_live_ignores_a_page() -> None:
    assert Bench().live(5).page(page(5, 6)).did == ()


def test_live_an_ack_above_what_was_sent_leaves_4501() -> None:
    assert Bench().live(5).receive(frames.Ack(positions={"s": 6})).closed == 4501


@pytest.mark.parametrize("end", ["watched again", "unwatched", "revoked", "reset"])
def test_what_an_ended_watch_wrote_may_be_acknowledged_after_the_next_began(end: str) -> None:
    bench = Bench().live(5).offer(event(6))
    if end == "unwatched":
        bench.receive(frames.Unwatch(streams=("s",)))
    elif end == "revoked":
        bench.permitted(Denied("revoked"), At(position=6))
    elif end == "reset":
        bench.permitted(Permit(), At(position=20, floor=20))
    bench.receive(frames.Watch(watch={"s": (EPOCH, 5)})).permitted(Permit(), At(position=6))

    assert bench.receive(frames.Ack(positions={"s": 6})).closed is None
    assert bench.receive(frames.Ack(positions={"s": 7})).closed == 4501


def test_what_ended_watches_wrote_is_remembered_for_as_many_as_events_may_be_unacknowledged() -> (
    None
):
    bench = Bench().opened()
    streams = [f"s{n}" for n in range(300)]
    for stream in streams:
        bench.now += 1_000
        bench.receive(frames.Watch(watch={stream: None}))
        bench.permitted(Permit(), At(position=0), stream)
        bench.offer(event(1, stream=stream))
        bench.receive(frames.Unwatch(streams=(stream,)))

    assert len(bench.delivery._window._parted) == bench.delivery.limits.unacked_events


def test_live_another_epoch_is_a_reset_unasked() -> None:
    bench = Bench().live(5).permitted(Permit(), At(position=2, epoch="epoch-02"))

    assert bench.the("reset") == {
        "op": "reset", "stream": "s", "epoch": "epoch-02", "head": 2, "why": "epoch"
    }  # fmt: skip


def test_live_a_head_below_its_own_is_a_reset() -> None:
    assert Bench().live(5).permitted(Permit(), At(position=3)).the("reset")["why"] == "ahead"


def test_who_left_sees_up_to_until_and_no_sign() -> None:
    bench = Bench().live(5).permitted(Permit(until=6), At(position=5))

    assert bench.offer(event(6)).positions == [6]
    assert bench.offer(event(7)).did == ()
    assert bench.ephemeral(sign()).did == ()
    typing = bench.receive(frames.Typing(stream="s", on=True))
    assert typing.the("error")["code"] == "denied"


def test_who_left_with_everything_is_not_reset_when_the_floor_passes() -> None:
    bench = Bench().live(5).permitted(Permit(until=5), At(position=5))

    assert bench.permitted(Permit(until=5), At(position=9, floor=8)).did == ()


# --- errors, rate, marks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [frames.Mark(stream="s", read=1), frames.Typing(stream="s", on=True),
     frames.Viewing(stream="s", on=True)],
)  # fmt: skip
def test_marks_and_signs_of_life_need_a_watch(frame: Any) -> None:
    bench = Bench().opened().receive(frame)

    assert bench.the("error")["code"] == "not_watching"
    assert bench.told == []


def test_a_mark_implies_delivered_and_only_rises() -> None:
    bench = Bench().live(0)
    for n in (1, 2, 3):
        bench.offer(event(n))

    bench.receive(frames.Mark(stream="s", read=2))
    assert bench.told == [frames.Ack(positions={"s": 2}), frames.Mark(stream="s", read=2)]
    assert bench.receive(frames.Mark(stream="s", read=1)).told == []
    assert bench.receive(frames.Mark(stream="s", read=4)).closed == 4501


def test_typing_is_told_every_three_seconds_at_most() -> None:
    bench = Bench().live()

    assert len(bench.receive(frames.Typing(stream="s", on=True)).told) == 1
    assert bench.receive(frames.Typing(stream="s", on=True)).told == []
    bench.now += 3_000
    assert len(bench.receive(frames.Typing(stream="s", on=True)).told) == 1
    assert len(bench.receive(frames.Typing(stream="s", on=False)).told) == 1


def test_a_probe_is_answered_with_the_heads_not_acknowledged() -> None:
    bench = Bench().live(5)
    bench.offer(event(6)).offer(event(7))

    bench.receive(frames.Probe(n=7, positions={"s": 6}))

    assert bench.the("alive") == {"op": "alive", "n": 7, "heads": {"s": 7}}
    assert bench.told == [frames.Ack(positions={"s": 6})]


def test_200_watches_are_taken_and_one_more_is_not() -> None:
    bench = Bench().opened({f"s{n}": None for n in range(200)})

    bench.receive(frames.Watch(watch={"one-more": None}))

    assert bench.the("error") == {
        "op": "error", "code": "too_many_watches", "about": "watch"
    }  # fmt: skip
    assert len(bench.delivery.watches) == 200
    assert bench.receive(frames.Watch(watch={"s1": None})).ops == []


def test_forty_frames_at_once_pass_and_the_next_is_too_fast() -> None:
    bench = Bench().opened()  # the first of them
    for _ in range(39):
        assert bench.receive(frames.Visibility(visible=True)).ops == []

    bench.receive(frames.Visibility(visible=False))

    assert bench.the("error") == {
        "op": "error", "code": "too_fast", "about": "visibility", "retry_ms": 50
    }  # fmt: skip
    assert bench.delivery.visible is True
    bench.now += 50
    assert bench.receive(frames.Visibility(visible=False)).ops == []


def test_ten_errors_a_minute_pass_and_the_next_leaves_4006() -> None:
    bench = Bench().opened()
    for _ in range(10):
        bench.now += 100
        bench.receive(frames.UnknownOp("dance"))
    assert bench.the("error") == {"op": "error", "code": "unknown_op", "about": "dance"}

    assert bench.receive(frames.FrameTooLarge("frame")).closed == 4006


def test_errors_are_forgiven_after_a_minute() -> None:
    bench = Bench().opened()
    for _ in range(30):
        bench.now += 6_001
        bench.receive(frames.FrameTooLarge("frame"))

    assert bench.the("error")["code"] == "too_large"


# --- flow control --------------------------------------------------------------------------------


def test_256_unacknowledged_events_are_written_and_the_next_waits_for_acks() -> None:
    bench = Bench().live(0)
    for n in range(1, 258):
        bench.offer(event(n))
    assert bench.did == ()
    assert bench.delivery.watches["s"].sent == 256

    assert bench.receive(frames.Ack(positions={"s": 127})).reads == []
    bench.receive(frames.Ack(positions={"s": 128}))

    assert bench.reads == [("s", 256)]


def test_256_kib_unacknowledged_are_written_and_the_next_waits_for_acks() -> None:
    bench = Bench().live(0)
    size = 60_000
    for n in range(1, 6):
        bench.offer(event(n, size=size))

    assert bench.delivery.watches["s"].sent == 4
    assert bench.receive(frames.Ack(positions={"s": 2})).reads == [("s", 4)]


def test_a_long_replay_never_trips_its_own_limit() -> None:
    bench = Bench().behind(0, 3_000)
    after = 0
    while bench.delivery.watches["s"].standing is Standing.BEHIND:
        if bench.delivery.watches["s"].reading is not None:
            bench.page(page(after, min(after + 256, 3_000), head=3_000))
            after = bench.delivery.watches["s"].sent
        else:
            bench.receive(frames.Ack(positions={"s": after}))
        bench.now += 60

    assert after == 3_000
    assert bench.delivery.phase is Phase.OPEN


def half_full() -> Bench:
    """A live connection with more than half its room taken."""
    bench = Bench(room=Limits().waiting_bytes).live(0).stops_reading()
    for n in range(1, 4):
        bench.offer(event(n, size=50_000))
    return bench


def test_ladder_typing_and_viewing_are_shed_first() -> None:
    bench = half_full()

    assert bench.ephemeral(sign("typing")).did == ()
    assert bench.ephemeral(sign("viewing")).did == ()
    assert bench.delivery.backlog.sheds == 2
    assert bench.writable().lives == [("s", 3)]


def test_ladder_others_coalesce_by_key_and_the_newest_wins() -> None:
    bench = half_full()
    bench.ephemeral(sign(key="a", size=1)).ephemeral(sign(key="b")).ephemeral(sign(key="a", size=2))

    bench.writable()

    assert [(f["key"], f["data"]) for f in bench.frames] == [("b", {"x": ""}), ("a", {"x": "xx"})]


def test_ladder_64_keys_coalesce_and_one_more_is_shed_but_made_good() -> None:
    bench = half_full()
    for n in range(65):
        bench.ephemeral(sign(key=f"k{n}"))
    assert bench.delivery.backlog.sheds == 1

    bench.writable()

    assert bench.ops == ["ephemeral"] * 64 + ["Live"]


def test_ladder_events_pass_ephemerals_that_wait() -> None:
    bench = half_full().ephemeral(sign())

    assert bench.offer(event(4)).positions == [4]


def test_ladder_a_live_signs_not_what_is_no_longer_live() -> None:
    bench = half_full().ephemeral(sign("typing"))
    for n in range(4, 8):
        bench.offer(event(n, size=50_000))
    assert bench.delivery.watches["s"].standing is Standing.BEHIND

    assert bench.writable().lives == []


def test_a_plain_payload_needs_no_watch() -> None:
    plain = frames.frame_plain("agent:li", "plain:1", b'{"n":1}')
    assert plain is not None

    assert Bench().opened().ephemeral(plain).ops == ["ephemeral"]


def test_after_bye_only_the_close() -> None:
    bench = leaving()
    bench.offer(event(6)).ephemeral(sign()).tick(100).writable()

    last = [o for o in bench.outputs if not isinstance(o, Tell)][-2:]
    assert isinstance(last[0], Write)
    assert isinstance(last[1], Close)
    assert not any(isinstance(o, Abort) for o in bench.outputs)
