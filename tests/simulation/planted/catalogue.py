"""Every planted bug by name, with its number in the list of the design."""

from __future__ import annotations

from tests.simulation.planted import manager, streams, surroundings
from tests.simulation.runs import Planted

PLANTED: dict[str, Planted] = {
    "1-removal-by-person": manager.removal_by_person,
    "2-failed-send-removes-newest": manager.a_failed_send_removes_the_newest,
    "3-await-before-register": manager.an_await_between_check_and_register,
    "4-old-close-awaited": manager.the_old_close_is_awaited_first,
    "5-ids-differ-by-case": manager.ids_differ_by_case_at_one_border,
    "6-removed-never-closed": manager.removed_but_never_closed,
    "7-one-copy-for-both-realms": manager.one_copy_for_both_realms,
    "8-repeated-recipient-gets-two": manager.a_repeated_recipient_gets_two,
    "9-sends-one-by-one": manager.sends_are_awaited_one_by_one,
    "10-no-deadline": manager.no_deadline_on_a_stalled_peer,
    "11-unencodable-unmaps": manager.an_unencodable_payload_unmaps,
    "12-cancelled-fan-out": manager.a_cancelled_fan_out_leaves_the_rest,
    "13-extra-overrides": manager.extra_overrides,
    "14-durable-event-shed": streams.a_durable_event_is_shed,
    "20-torn-snapshot": surroundings.snapshot_and_head_from_two_transactions,
    "21-restore-keeps-epoch": surroundings.a_restore_keeps_the_epoch,
    "22-above-head-believed": streams.a_position_above_head_is_believed,
    "23-no-tick": streams.no_tick,
    "25-live-before-replay-ends": streams.live_overtakes_replay,
    "26-gap-applied": surroundings.a_gap_is_applied,
    "27-position-saved-first": surroundings.the_position_is_saved_first,
    "28-ack-on-receipt": surroundings.an_ack_on_receipt,
    "36-revocation-by-ring-only": streams.revocation_by_ring_only,
    "38-drain-too-late": streams.the_drain_comes_too_late,
    # found here, or near to what was found
    "late-ack-is-a-fault": streams.a_late_ack_is_a_fault,
    "step-left-unbooked": streams.who_leaves_step_books_nothing,
    "step-kept-without-sight": streams.who_lost_sight_keeps_step,
    "handed-page-not-held": streams.a_handed_page_is_not_held,
}
