"""What is said and taken back: the message itself, notes, recall and redaction.

None of it moves a conversation from one status to another. Invariant: text stands in
`message.posted` and `note.posted` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deskwire.desk import access
from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.conversation import Status
from deskwire.desk.decision import Deciding, Decision
from deskwire.desk.messages import (
    MENTIONS_MAX,
    Attachment,
    Posted,
    Withdrawal,
    Withdrawn,
    check_note_content,
    check_required,
    recall_refused,
)
from deskwire.desk.people import PersonId, Realm
from deskwire.desk.refusals import Code, Refusal, invalid


def say(
    d: Deciding,
    *,
    kind: str,
    body: str,
    attachments: Sequence[str] = (),
    reply_to: str | None = None,
) -> str:
    """A public message, whose content has been checked. Returns its id."""
    msg_id = d.moment.new_id()
    turn = Realm.AGENT if d.is_by_employee else Realm.EMPLOYEE
    d.add(
        ev.MessagePosted(
            msg_id=msg_id,
            command_id=d.moment.command_id,
            kind=kind,
            body=body,
            attachments=_written(attachments, d.facts.attachments),
            reply_to=reply_to,
            via=d.moment.via,
            turn=turn.value,
        )
    )
    d.bind(attachments, msg_id, ev.conv_stream(d.state.conv_id))
    return msg_id


def note(d: Deciding, command: ask.PostNote) -> Decision | Refusal:
    """An internal note. Those mentioned learn of it on their own stream."""
    content = check_note_content(
        command.body, command.attachments, d.facts.attachments, d.actor.principal
    )
    if refusal := content or _mentions_refused(d, command.mentions):
        return refusal
    msg_id = d.moment.new_id()
    d.add(
        ev.NotePosted(
            msg_id=msg_id,
            command_id=d.moment.command_id,
            body=command.body,
            attachments=_written(command.attachments, d.facts.attachments),
            mentions=command.mentions,
        ),
        agents=[PersonId(person) for person in command.mentions],
    )
    d.bind(command.attachments, msg_id, ev.staff_stream(d.state.conv_id))
    return d.decision({"msg_id": msg_id})


def _mentions_refused(d: Deciding, mentions: Sequence[str]) -> Refusal | None:
    is_bounded = len(mentions) <= MENTIONS_MAX and len(set(mentions)) == len(mentions)
    return None if is_bounded and d.facts.mentioned.issuperset(mentions) else invalid("mentions")


def _written(named: Sequence[str], found: Sequence[Attachment]) -> tuple[ev.WrittenAttachment, ...]:
    by_id = {each.id: each for each in found}
    return tuple(
        ev.WrittenAttachment(
            id=each.id,
            kind=each.kind.value,
            name=each.name,
            bytes=each.bytes,
            type=each.type,
            width=each.width,
            height=each.height,
        )
        for each in (by_id[name] for name in named)
    )


# Taking back --------------------------------------------------------------------------------------


def recall(d: Deciding, command: ask.RecallMessage) -> Decision | Refusal:
    """The author's. That it is withdrawn already changes nothing and succeeds."""
    posted = seen_message(d, command.msg_id)
    if posted is None:
        return Refusal(Code.NOT_FOUND)
    refusal = recall_refused(
        posted,
        d.actor.principal,
        is_closed=d.state.status is Status.CLOSED,
        window_s=d.facts.settings.recall_window_s,
        now=d.now,
    )
    if refusal:
        return refusal
    if posted.withdrawn is None:
        _take_back(d, posted, Withdrawn.RECALLED)
    return d.decision()


def redact(d: Deciding, command: ask.RedactMessage) -> Decision | Refusal:
    """A supervisor's, at any time. Of what was recalled before, the original is destroyed."""
    if refusal := check_required(command.reason, "reason"):
        return refusal
    posted = seen_message(d, command.msg_id)
    if posted is None:
        return Refusal(Code.NOT_FOUND)
    match posted.withdrawn:
        case None:
            taken = _take_back(d, posted, Withdrawn.REDACTED)
            d.reason(taken.id, note=command.reason)
        case Withdrawn.RECALLED:
            d.withdraw(_withdrawal(posted, Withdrawn.REDACTED))
            d.reason(posted.msg_id, note=command.reason)
        case Withdrawn.REDACTED:
            pass
    return d.decision()


def _take_back(d: Deciding, posted: Posted, how: Withdrawn) -> ev.Event:
    d.withdraw(_withdrawal(posted, how))
    told = _TAKEN[posted.is_note, how]
    data = told(msg_id=posted.msg_id, by=d.actor.person.id, at=d.now)
    return d.add(data, agents=posted.mentions)


_Taken = ev.MessageRecalled | ev.MessageRedacted | ev.NoteRecalled | ev.NoteRedacted
_TAKEN: Mapping[tuple[bool, Withdrawn], type[_Taken]] = {
    (False, Withdrawn.RECALLED): ev.MessageRecalled,
    (False, Withdrawn.REDACTED): ev.MessageRedacted,
    (True, Withdrawn.RECALLED): ev.NoteRecalled,
    (True, Withdrawn.REDACTED): ev.NoteRedacted,
}


def _withdrawal(posted: Posted, how: Withdrawn) -> Withdrawal:
    return Withdrawal(
        msg_id=posted.msg_id,
        is_note=posted.is_note,
        how=how,
        keeps_original=how is Withdrawn.RECALLED,
        attachments=posted.attachments,
    )


def seen_message(d: Deciding, msg_id: str) -> Posted | None:
    """The message that a command names, if the actor may see it at all."""
    posted = d.facts.message
    if posted is None or posted.msg_id != msg_id:
        return None
    conv_id = d.state.conv_id
    stream = ev.staff_stream(conv_id) if posted.is_note else ev.conv_stream(conv_id)
    bounds = access.sees(d.actor, stream, d.state.sight)
    return posted if bounds is not None and bounds.hold(posted.position) else None
