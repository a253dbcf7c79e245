"""Handing on: to a colleague, who is asked; or to another group's queue."""

from __future__ import annotations

from dataclasses import replace

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.assignment import already_taken, leave, named_agent, requeue
from deskwire.desk.deadlines import PREFERENCE_MS
from deskwire.desk.decision import Deciding, Decision, OfferKind, not_assignable
from deskwire.desk.messages import check_required
from deskwire.desk.offers import propose
from deskwire.desk.office import Group
from deskwire.desk.people import Agent, Principal, Realm
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.desk.routing import absence
from deskwire.desk.transitions import from_refused


def to_agent(d: Deciding, command: ask.TransferToAgent) -> Decision | Refusal:
    """T7, or T10 where the colleague is not online and the conversation may wait for them."""
    if refusal := check_required(command.note) or from_refused(d.state, command):
        return refusal
    target = named_agent(d, command.agent)
    if isinstance(target, Refusal):
        return target
    assert d.state.assignee is not None
    if d.state.assignee.id == target.id:
        return already_taken(d.state.assignee)
    away = absence(target)
    if away and command.if_absent == "refuse":
        return not_assignable(away)
    return _wait_for(d, target, command) if away else _ask(d, target, command)


def _ask(d: Deciding, target: Agent, command: ask.TransferToAgent) -> Decision | Refusal:
    """T7. A transfer that is still open is withdrawn for the new one."""
    is_ours = d.offer is not None and d.offer.agent == target.id
    if target.has_offer and not is_ours:
        return not_assignable("has_offer")
    d.withdraw_offer()
    d.add(ev.TransferRequested(to_agent=target.id, note=command.note))
    offer = propose(d, target.id, OfferKind.TRANSFER, stay=command.stay)
    return d.decision({"offer_id": offer.offer_id})


def _wait_for(d: Deciding, target: Agent, command: ask.TransferToAgent) -> Decision:
    """T10. The queue keeps it for them for a quarter of an hour."""
    requeue(
        d,
        cause="transfer",
        note=command.note,
        leaves=not command.stay,
        prefer=target.id,
        wait_until=d.now + PREFERENCE_MS,
    )
    return d.decision()


def to_group(d: Deciding, command: ask.TransferToGroup) -> Decision | Refusal:
    """T11. Who of the old group takes part goes on taking part; the others lose sight of it."""
    if refusal := check_required(command.note) or from_refused(d.state, command):
        return refusal
    group = d.facts.group
    if group is None or group.id == d.state.group.id:
        return invalid("group")
    if d.facts.unclosed is not None:
        return Refusal(Code.ALREADY_OPEN, {"conv_id": d.facts.unclosed})
    d.withdraw_offer()
    if d.state.assignee is not None and not command.stay:
        leave(d, Principal(Realm.AGENT, d.state.assignee.id), d.state.assignee)
    _move(d, group)
    requeue(d, cause="transfer", note=command.note, leaves=False)
    return d.decision()


def _move(d: Deciding, group: Group) -> None:
    was = d.state
    moved = replace(was, moved_to=group, version=d.next_version)
    d.add(
        ev.ConversationMoved(
            from_group=was.group.id,
            group=ev.RowGroup(id=group.id, name=group.name),
            row=moved.row,
            version=moved.version,
        )
    )
    d.know(moved_to=group)
    d.lose_sight(None, "moved")
