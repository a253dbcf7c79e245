"""What agents note about a conversation, and the desk for them.

Category, priority, tags; an administrator's look; what became of a push. None of it moves the
conversation. A change names the version that its author has seen; priority and tags have one of
their own, as a gap in the other would tell employees that there is something.
"""

from __future__ import annotations

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk.decision import Deciding, Decision
from deskwire.desk.fallback import Settle, Stage
from deskwire.desk.messages import check_note
from deskwire.desk.office import PRIORITY_MAX, TAGS_MAX
from deskwire.desk.refusals import Code, Refusal, invalid


def categorise(d: Deciding, command: ask.SetCategory) -> Decision | Refusal:
    """Another category of the same group; one of another group would be a transfer."""
    if refusal := _version_refused(command.version, d.state.version):
        return refusal
    category = d.facts.category
    if category is None or category.id != command.category_id or category.is_archived:
        return invalid("category_id")
    if category.group.id != d.state.group.id:
        return invalid("category_id")
    if category.id != d.state.category.id:
        d.add(ev.ConversationCategorised(category_id=category.id, version=d.next_version))
        d.know(category=category)
    return d.decision()


def prioritise(d: Deciding, command: ask.SetPriority) -> Decision | Refusal:
    """The queue is taken by priority first, so it may be somebody else's turn now."""
    if refusal := _version_refused(command.version, d.state.label_version):
        return refusal
    if not 0 <= command.priority <= PRIORITY_MAX:
        return invalid("priority")
    if command.priority != d.state.priority:
        d.add(
            ev.ConversationPrioritised(
                priority=command.priority, label_version=d.state.label_version + 1
            )
        )
    return d.decision()


def tag(d: Deciding, command: ask.SetTags) -> Decision | Refusal:
    """All tags at once. One that has been archived may stay, but is not put on anew."""
    if refusal := _version_refused(command.version, d.state.label_version):
        return refusal
    if len(command.tags) > TAGS_MAX or len(set(command.tags)) != len(command.tags):
        return invalid("tags")
    added = tuple(each for each in command.tags if each not in d.state.tags)
    removed = tuple(each for each in d.state.tags if each not in command.tags)
    if not d.facts.tags.issuperset(added):
        return invalid("tags")
    if added or removed:
        d.add(
            ev.ConversationTagged(
                added=added, removed=removed, label_version=d.state.label_version + 1
            )
        )
    return d.decision()


def _version_refused(seen: int, version: int) -> Refusal | None:
    return None if seen == version else Refusal(Code.VERSION_CHANGED, {"version": version})


def record_inspection(d: Deciding, command: ask.RecordInspection) -> Decision | Refusal:
    """Colleagues can see that an administrator has looked."""
    d.add(ev.ConversationInspected(msg_id=command.msg_id))
    return d.decision()


def record_push(d: Deciding, command: ask.RecordPush) -> Decision | Refusal:
    """What WeCom said. `notified` says nothing of delivery, so no mark moves."""
    if refusal := check_note(command.reason, "reason"):
        return refusal
    d.settle(
        Settle(
            push_id=command.push_id,
            lease_no=command.lease_no,
            stage=Stage(command.outcome),
            reason=command.reason,
            msgid=command.msgid,
        )
    )
    match command.outcome:
        case "notified":
            d.add(ev.PushNotified(person=command.person, up_to=command.up_to))
        case "failed":
            reason = command.reason or "unknown"
            d.add(ev.PushFailed(person=command.person, up_to=command.up_to, reason=reason))
        case "recalled":
            d.add(ev.PushRecalled(person=command.person))
    return d.decision()
