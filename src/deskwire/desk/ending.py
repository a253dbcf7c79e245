"""Resolved and closed: by hand, by silence, by the requester's word, by force."""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import let_go
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.deadlines import DAY_MS, HOUR_MS, TimerKind, is_silent
from deskwire.desk.decision import Deciding, Decision, too_early, wrong_state
from deskwire.desk.messages import check_note, check_rating, check_required
from deskwire.desk.refusals import Code, Refusal
from deskwire.desk.transitions import from_refused

RATING_WINDOW_MS = 7 * DAY_MS


def resolve(d: Deciding, command: ask.ResolveConversation) -> Decision | Refusal:
    """T18. After a move somebody says first what it is about, in the new group's words."""
    if refusal := check_note(command.note) or from_refused(d.state, command):
        return refusal
    if not d.state.has_own_category:
        return Refusal(Code.CATEGORY_REQUIRED)
    _resolve(d, how="agent", note=command.note)
    return d.decision()


def auto_resolve(d: Deciding, command: ask.AutoResolve) -> Decision | Refusal:
    """T19. The requester has not said a word for a day."""
    if refusal := from_refused(d.state, command):
        return refusal
    if refusal := _not_silent_for(d, d.facts.settings.auto_resolve_h):
        return refusal
    _resolve(d, how="silence", note=None)
    return d.decision()


def remind(d: Deciding, _command: ask.RemindRequester) -> Decision | Refusal:
    """Half way to that: say, once, when it will be taken for solved."""
    settings = d.facts.settings
    left_h = settings.auto_resolve_h - settings.reminder_h
    if not settings.reminder_h or left_h <= 0 or d.state.is_reminded:
        return wrong_state(d.state)
    if refusal := _not_silent_for(d, settings.reminder_h):
        return refusal
    resolve_at = d.now + left_h * HOUR_MS
    d.add(ev.RequesterReminded(resolve_at=resolve_at))
    d.arm(TimerKind.AUTO_RESOLVE, resolve_at)  # also where the reminder itself came late
    return d.decision()


def _not_silent_for(d: Deciding, hours: int) -> Refusal | None:
    last = d.state.last_message
    if not hours or not is_silent(d.state) or last is None:
        return wrong_state(d.state)
    due = last.at + hours * HOUR_MS
    return too_early(due, d.now) if d.now < due else None


def _resolve(d: Deciding, *, how: str, note: str | None) -> None:
    old = d.state.assignee
    d.withdraw_offer()
    resolved = d.add(
        ev.ConversationResolved(
            how=how, resolution_no=d.state.resolution_no + 1, version=d.next_version
        )
    )
    d.reason(resolved.id, cause=None if how == "agent" else how, note=note)
    if old is not None:
        let_go(d, old.id, cause=d.name)


def cancel(d: Deciding, command: ask.CancelConversation) -> Decision | Refusal:
    """T6."""
    return from_refused(d.state, command) or _closed(d, "cancelled")


def confirm(d: Deciding, command: ask.ConfirmSolved) -> Decision | Refusal:
    """T21."""
    return from_refused(d.state, command) or _closed(d, "confirmed")


def close_resolved(d: Deciding, command: ask.CloseResolved) -> Decision | Refusal:
    """T21, by the timer."""
    if refusal := from_refused(d.state, command):
        return refusal
    due = (d.state.resolved_at or 0) + d.facts.settings.auto_close_h * HOUR_MS
    if d.now < due:
        return too_early(due, d.now)
    return _closed(d, "timer")


def close_by_force(d: Deciding, command: ask.CloseConversation) -> Decision | Refusal:
    """T23."""
    if refusal := check_required(command.reason, "reason") or from_refused(d.state, command):
        return refusal
    return _closed(d, "forced", command.reason)


def _closed(d: Deciding, how: str, note: str | None = None) -> Decision:
    _close(d, how, note)
    return d.decision()


def _close(
    d: Deciding, how: str, note: str | None = None, rating: ev.RatingGiven | None = None
) -> None:
    old = d.state.assignee
    d.withdraw_offer()
    closed = d.add(ev.ConversationClosed(how=how, version=d.next_version))
    if rating is not None:
        d.add(rating)
    d.reason(closed.id, note=note)
    if old is not None:
        let_go(d, old.id, cause=d.name)


def rate(d: Deciding, command: ask.RateConversation) -> Decision | Refusal:
    """T21. One rating for each resolution, also up to seven days after the close."""
    if refusal := check_rating(command.score, command.reasons, command.comment):
        return refusal
    if d.state.rated:
        return Refusal(Code.ALREADY_RATED)
    rating = ev.RatingGiven(
        resolution_no=d.state.resolution_no,
        score=command.score,
        reasons=command.reasons,
        comment=command.comment,
    )
    if _may_still_rate(d.state, d.now):
        d.add(rating)
        return d.decision()
    if refusal := from_refused(d.state, command):
        return refusal
    _close(d, "rated", rating=rating)
    return d.decision()


def _may_still_rate(state: Conversation, now: int) -> bool:
    """A rating may follow the close of a solved conversation for seven days."""
    if state.status is not Status.CLOSED or state.closed_at is None or not state.resolution_no:
        return False
    return now - state.closed_at <= RATING_WINDOW_MS
