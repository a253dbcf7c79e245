"""T1: an employee asks. The first message is part of the opening."""

from __future__ import annotations

from deskwire.desk import events as ev
from deskwire.desk.access import Participant
from deskwire.desk.commands import OpenConversation
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decision import Deciding, Decision, Facts, Moment, Opening
from deskwire.desk.messages import check_content
from deskwire.desk.office import Category
from deskwire.desk.people import Actor, Realm, Requester
from deskwire.desk.refusals import Code, Refusal, invalid
from deskwire.desk.saying import say


def decide_opening(
    actor: Actor, command: OpenConversation, facts: Opening, moment: Moment
) -> Decision | Refusal:
    """A new conversation in the queue of its category's group."""
    if refusal := check_content(
        command.kind, command.body, command.attachments, facts.attachments, actor.principal
    ):
        return refusal
    category = facts.category
    if category is None or category.is_archived:
        return invalid("category_id")
    if not facts.previous_is_own:
        return invalid("previous_id")
    if facts.unclosed is not None:
        return Refusal(Code.ALREADY_OPEN, {"conv_id": facts.unclosed})
    if facts.queued >= category.group.queue_max:
        return Refusal(Code.QUEUE_FULL)
    state = _opened(actor, command, facts, category, moment)
    known = Facts(attachments=facts.attachments, settings=facts.settings)
    d = Deciding(actor, state, command, moment, known, is_new=True)
    opened = d.add(ev.ConversationOpened(row=state.row))
    msg_id = say(d, kind=command.kind, body=command.body, attachments=command.attachments)
    d.reason(opened.id)
    return d.decision({"conv_id": state.conv_id, "no": state.no, "msg_id": msg_id})


def _opened(
    actor: Actor, command: OpenConversation, facts: Opening, category: Category, moment: Moment
) -> Conversation:
    requester = Requester(
        id=actor.person.id,
        name=actor.person.name,
        avatar=actor.person.avatar,
        department=actor.department,
    )
    return Conversation(
        conv_id=facts.conv_id,
        no=facts.no,
        requester=requester,
        category=category,
        status=Status.QUEUED,
        turn=Realm.AGENT,
        version=1,
        waiting_since=moment.now,
        opened_at=moment.now,
        previous_id=command.previous_id,
        participants=(Participant(principal=actor.principal, role="requester"),),
    )
