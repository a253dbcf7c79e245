"""Drafts of agents: kept by (person, conversation, mode), guarded by a revision.

A draft is no event: nobody else ever learns of it, the agent's other pages by an ephemeral.
Employees' drafts stay on their device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from deskwire.desk import commands as ask
from deskwire.desk.access import Action, Sight, may, may_send
from deskwire.desk.messages import (
    ATTACHMENTS_MAX,
    TEXT_CHARS_MAX,
    Attachment,
    check_attachments,
    is_storable,
)
from deskwire.desk.people import Actor, PersonId
from deskwire.desk.refusals import Code, Refusal, invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an agent is writing. `rev` counts its versions, from 1."""

    person: PersonId
    conv: str
    mode: str
    text: str
    rev: int
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftDecision:
    """A "yes": the draft as it is kept from now on, none if it is dropped.

    `rev` goes to the sender and, as the ephemeral `draft`, to their own stream.
    """

    draft: Draft | None
    rev: int


def decide_draft(
    actor: Actor,
    command: ask.OfDraft,
    sight: Sight,
    kept: Draft | None,
    attachments: tuple[Attachment, ...] = (),
) -> DraftDecision | Refusal:
    """Keep or drop one's own draft. `kept` is the stored one of this conversation and mode."""
    if not may(actor, Action.SEE_PUBLIC, sight):
        return Refusal(Code.NOT_FOUND)
    if not may_send(actor, command, sight):
        return Refusal(Code.NOT_ALLOWED)
    match command:
        case ask.SaveDraft():
            return _save(actor, command, kept, attachments)
        case ask.DropDraft():
            return DraftDecision(draft=None, rev=0)
        case _:
            assert_never(command)


def _save(
    actor: Actor,
    command: ask.SaveDraft,
    kept: Draft | None,
    attachments: tuple[Attachment, ...],
) -> DraftDecision | Refusal:
    """An older page's draft is not written over a newer one: it is told the newer revision."""
    if len(command.text) > TEXT_CHARS_MAX:
        return Refusal(Code.TOO_LARGE, {"field": "text", "max": TEXT_CHARS_MAX})
    if not is_storable(command.text):
        return invalid("text")
    if len(command.attachments) > ATTACHMENTS_MAX:
        return invalid("attachments")
    if refusal := check_attachments(command.attachments, attachments, actor.principal):
        return refusal
    rev = kept.rev if kept else 0
    if command.rev != rev:
        return Refusal(Code.VERSION_CHANGED, {"version": rev})
    draft = Draft(
        person=actor.person.id,
        conv=command.conv,
        mode=command.mode,
        text=command.text,
        rev=rev + 1,
        attachments=command.attachments,
    )
    return DraftDecision(draft=draft, rev=draft.rev)
