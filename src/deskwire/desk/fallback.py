"""When silence becomes a WeCom message, and what it may say.

A push is armed when an event commits and disarmed by a mark; whether somebody is connected plays no
part. There is at most one waiting push for each key (principal, stream): later events extend it.
Rows, bytes and calls are the store's and the dialect's; here is the rule alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from deskwire.desk import events as ev
from deskwire.desk.access import Bounds, Sight, conversation_of, sees
from deskwire.desk.conversation import Conversation
from deskwire.desk.deadlines import CHINA_AHEAD_MS, DAY_MS, HOUR_MS, MINUTE_MS, minute_of_day
from deskwire.desk.office import DeskSettings
from deskwire.desk.people import Actor, PersonId, Principal, Realm

AFTER_LAST_MS = 10_000
AFTER_FIRST_MS = 30_000
GAPS_MS = (MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS)
PER_MINUTE_MAX = 20  # WeCom throws away what is over 30
PER_HOUR_MAX = 600  # and over 1,000
ANSWER_MS = 30 * MINUTE_MS
RECALL_CARD_MS = DAY_MS
CROWDED_MS = MINUTE_MS  # WeCom asks to stay away from minutes 0 and 30
HALF_HOUR_MS = 30 * MINUTE_MS
REPEATS_MS = (2_000, 10_000, MINUTE_MS, 5 * MINUTE_MS)
REPEAT_MS_MAX = 210 * MINUTE_MS  # WeCom's duplicate check holds for four hours, and no longer
COVERED_MAX = 200  # events that a push looks at again, the newest
PER_SEAT_AND_DAY = 200  # WeCom's limit for an app
DAY_SHARE = 0.9
ALARM_SHARE = 0.7


class Why(StrEnum):
    """What an event that a push covers is to its reader."""

    MESSAGE = "message"
    QUESTION = "question"
    REMINDER = "reminder"
    RESOLVED = "resolved"
    CLOSED = "closed"
    SECOND_RUNG = "second_rung"
    OFFER = "offer"
    ASSIGNMENT = "assignment"
    MENTION = "mention"


MAY_WAIT = frozenset({Why.REMINDER, Why.RESOLVED, Why.CLOSED, Why.SECOND_RUNG})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPush:
    """Arm or extend the waiting push of this key, once the event's position is known.

    Whoever writes it leaves out people without a WeCom id and agents who switched pushes off.
    """

    who: Principal
    stream: ev.Stream
    event_id: str
    why: Why
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A waiting push: the positions it covers, both included, since when, and why."""

    first: int
    last: int
    since: int
    newest: int
    whys: frozenset[Why]

    @property
    def is_second_rung(self) -> bool:
        return Why.SECOND_RUNG in self.whys


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How the last pushes of a key went: how many in a row met no sign of life, and the last."""

    unanswered: int = 0
    sent_at: int | None = None

    def sent(self, at: int) -> Gap:
        """After one more push."""
        return Gap(unanswered=self.unanswered + 1, sent_at=at)


ENDED = Gap()  # an ack, a read or a message of the person ends the wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """One event that a push covers, as it stands when the push is about to go out."""

    position: int
    why: Why
    by: str
    conv: str = ""
    msg_id: str | None = None
    text: str = ""
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a push says. `path` is the page to open; `shows` is the message whose words it has."""

    title: str
    text: str
    path: str
    button: str
    count: int
    announces: tuple[str, ...]
    shows: str | None = None


def pushes_of(events: Sequence[ev.Event], after: Conversation) -> list[ArmPush]:
    """What a decision arms: for each employee but the author, and for agents where it is theirs."""
    armed: list[ArmPush] = []
    for event in events:
        for who, why in _told(event, after):
            if event.by is None or event.by.principal != who:
                stream = _stream_of(event, who, why)
                armed.append(
                    ArmPush(who=who, stream=stream, event_id=event.id, why=why, at=event.at)
                )
    assigned = {push.who for push in armed if push.why is Why.ASSIGNMENT}
    return [
        push
        for push in armed
        # Who is given a conversation along with its newest message is told once.
        if not (push.why is Why.QUESTION and push.who in assigned)
    ]


def _told(event: ev.Event, after: Conversation) -> Iterable[tuple[Principal, Why]]:
    match event.data:
        case ev.MessagePosted():
            assert event.by is not None
            yield from _employees(after, Why.MESSAGE)
            if event.by.principal.realm is Realm.EMPLOYEE and after.assignee is not None:
                yield Principal(Realm.AGENT, after.assignee.id), Why.QUESTION
        case ev.RequesterReminded():
            yield Principal(Realm.EMPLOYEE, after.requester.id), Why.REMINDER
        case ev.ConversationResolved():
            yield from _employees(after, Why.RESOLVED)
        case ev.ConversationClosed(how="forced"):
            yield from _employees(after, Why.CLOSED)
        case ev.OfferMade(agent_id=agent):
            yield Principal(Realm.AGENT, PersonId(agent)), Why.OFFER
        case ev.ConversationAssigned(agent=agent):
            yield Principal(Realm.AGENT, PersonId(agent.id)), Why.ASSIGNMENT
        case ev.NotePosted(mentions=mentions):
            for person in mentions:
                yield Principal(Realm.AGENT, PersonId(person)), Why.MENTION
        case _:
            return


def _employees(state: Conversation, why: Why) -> Iterable[tuple[Principal, Why]]:
    for member in state.participants:
        is_here = member.left_at is None and not member.mute
        if is_here and member.principal.realm is Realm.EMPLOYEE:
            yield member.principal, why


def _stream_of(event: ev.Event, who: Principal, why: Why) -> ev.Stream:
    """Where its mark is looked for: what is an agent's alone stands on their own stream."""
    if why in {Why.OFFER, Why.ASSIGNMENT, Why.MENTION}:
        return ev.personal_stream(who)
    assert event.conv is not None
    return ev.conv_stream(event.conv)


# The waiting row ---------------------------------------------------------------------------------


def covering(push: Push | None, position: int, why: Why, at: int) -> Push:
    """The waiting push with one more event: a new one, or the same one extended."""
    if push is None:
        return Push(first=position, last=position, since=at, newest=at, whys=frozenset({why}))
    return replace(
        push,
        # What a second rung waited for was delivered long ago: the new event has its own seconds.
        since=at if push.is_second_rung else push.since,
        first=min(push.first, position),
        last=max(push.last, position),
        newest=max(push.newest, at),
        whys=push.whys - {Why.SECOND_RUNG} | {why},
    )


def joined(waiting: Push, other: Push) -> Push:
    """One push in the place of two of the same key: of what was not sent nothing is lost."""
    both = waiting.whys | other.whys
    is_rung = waiting.is_second_rung and other.is_second_rung
    return Push(
        first=min(waiting.first, other.first),
        last=max(waiting.last, other.last),
        since=min(waiting.since, other.since),
        newest=max(waiting.newest, other.newest),
        whys=both if is_rung else both - {Why.SECOND_RUNG},
    )


def after_mark(push: Push, *, delivered: int, read: int) -> Push | None:
    """The waiting push once a mark has risen; none: it is disarmed.

    A first push asks what was delivered, a second rung what was read.
    """
    seen = read if push.is_second_rung else delivered
    if seen >= push.last:
        return None
    return replace(push, first=max(push.first, seen + 1))


def second_rung(
    push: Push, who: Principal, *, read: int, is_reminded: bool, settings: DeskSettings, now: int
) -> Push | None:
    """What follows a push that a delivered mark has disarmed: one reminder, if it stays unread.

    For employees, for messages, once per turn of the agent (`is_reminded`: it has been).
    """
    if who.realm is not Realm.EMPLOYEE or Why.MESSAGE not in push.whys:
        return None
    if not settings.second_rung_s or is_reminded or read >= push.last:
        return None
    return Push(
        first=max(push.first, read + 1),
        last=push.last,
        since=now,
        newest=now,
        whys=frozenset({Why.SECOND_RUNG}),
    )


def due_at(
    push: Push,
    *,
    gap: Gap,
    sent: Sequence[int],
    wrote_at: int | None,
    settings: DeskSettings,
) -> int:
    """When the push is to go out (Unix ms).

    `sent` are the times, ascending, of what this person was sent in the last hour; `wrote_at` is
    when they last wrote in this conversation. Over a limit the time moves; nothing is dropped.
    """
    if push.is_second_rung:
        due = push.since + settings.second_rung_s * 1000
    else:
        due = min(push.newest + AFTER_LAST_MS, push.since + AFTER_FIRST_MS)
    due = after_gap(due, gap)
    if may_wait(push, wrote_at, due):
        due = after_crowd(after_quiet_hours(due, settings))
    return after_limits(due, sent)


def from_now(
    due: int, push: Push, *, wrote_at: int | None, settings: DeskSettings, now: int
) -> int:
    """The same moment, or one that is not past: what comes late keeps to quiet hours as well."""
    at = max(due, now)
    return after_crowd(after_quiet_hours(at, settings)) if may_wait(push, wrote_at, at) else at


def after_gap(due: int, gap: Gap) -> int:
    """Not before 1, then 5, then 15 minutes after the last push that met no sign of life."""
    if gap.sent_at is None or not gap.unanswered:
        return due
    wait = GAPS_MS[min(gap.unanswered, len(GAPS_MS)) - 1]
    return max(due, gap.sent_at + wait)


def may_wait(push: Push, wrote_at: int | None, at: int) -> bool:
    """Whether quiet hours hold it: never an agent's answer to somebody who has just written."""
    if not push.whys <= MAY_WAIT:
        return False
    is_answer = push.is_second_rung and wrote_at is not None and at - wrote_at <= ANSWER_MS
    return not is_answer


def after_quiet_hours(due: int, settings: DeskSettings) -> int:
    """The same moment, or the end of the quiet hours in which it lies."""
    begin, end = settings.quiet_from_min, settings.quiet_until_min
    minute = minute_of_day(due)
    is_quiet = begin <= minute < end if begin <= end else not end <= minute < begin
    if begin == end or not is_quiet:
        return due
    ahead = (end - minute) % (24 * 60)
    return due - due % MINUTE_MS + ahead * MINUTE_MS


def after_crowd(due: int) -> int:
    """The same moment, or the first that is a minute away from minutes 0 and 30."""
    into = due % HALF_HOUR_MS
    if into < CROWDED_MS:
        return due - into + CROWDED_MS
    if into > HALF_HOUR_MS - CROWDED_MS:
        return due - into + HALF_HOUR_MS + CROWDED_MS
    return due


def after_limits(due: int, sent: Sequence[int]) -> int:
    """The first moment from `due` on at which one more keeps 20 a minute and 600 an hour."""
    for most, window in ((PER_MINUTE_MAX, MINUTE_MS), (PER_HOUR_MAX, HOUR_MS)):
        if len(sent) >= most:
            due = max(due, sent[-most] + window)
    return due


def after_budget(due: int, sent_today: int, seats: int) -> int:
    """The same moment, or midnight in China: an app may send so much a day for each seat."""
    if sent_today < int(seats * PER_SEAT_AND_DAY * DAY_SHARE):
        return due
    return max(due, midnight(due) + DAY_MS)


def is_near_budget(sent_today: int, seats: int) -> bool:
    """Whether somebody should be told before cards begin to wait."""
    return sent_today >= int(seats * PER_SEAT_AND_DAY * ALARM_SHARE)


def midnight(at: int) -> int:
    """When the day of this moment began in China (Unix ms)."""
    return at - (at + CHINA_AHEAD_MS) % DAY_MS


# Before sending ----------------------------------------------------------------------------------


def covered(
    event: ev.Event,
    position: int,
    *,
    push: Push,
    reader: Actor,
    stream: ev.Stream,
    sight: Sight | None,
    live_offers: frozenset[str],
) -> Covered | None:
    """What an event is to the reader of a push that covers its position; none: not their concern.

    `sight` is that of the event's conversation, `live_offers` are offers that can be accepted yet.
    """
    who, is_personal = reader.principal, conversation_of(stream) is None
    why = _why_personal(event, who) if is_personal else _why_shared(event, who)
    wanted = {Why.MESSAGE} if push.is_second_rung else push.whys
    if why is None or why not in wanted:
        return None
    words = event.data if isinstance(event.data, ev.MessagePosted | ev.NotePosted) else None
    return Covered(
        position=position,
        why=Why.SECOND_RUNG if push.is_second_rung else why,
        by=event.by.person.name if event.by else "",
        conv=event.conv or "",
        msg_id=words.msg_id if words else None,
        # A note's words stay within the desk.
        text=words.body if isinstance(words, ev.MessagePosted) else "",
        is_withdrawn=(words is not None and isinstance(words.withdrawn, str))
        or sight is None
        or _is_over(event, why, reader, sight, live_offers),
    )


def _why_personal(event: ev.Event, who: Principal) -> Why | None:
    """The same as `pushes_of` said when it was armed: what is an agent's alone."""
    if who.realm is not Realm.AGENT or (event.by and event.by.principal == who):
        return None
    match event.data:
        case ev.OfferMade(agent_id=agent) if agent == who.person:
            return Why.OFFER
        case ev.ConversationAssigned(agent=agent) if agent.id == who.person:
            return Why.ASSIGNMENT
        case ev.NotePosted(mentions=mentions) if who.person in mentions:
            return Why.MENTION
        case _:
            return None


def _why_shared(event: ev.Event, who: Principal) -> Why | None:
    """The same for what stands in a conversation."""
    by = event.by.principal if event.by else None
    if who.realm is Realm.AGENT:
        is_theirs = by is not None and by.realm is Realm.EMPLOYEE
        return Why.QUESTION if is_theirs and isinstance(event.data, ev.MessagePosted) else None
    match event.data:
        case ev.MessagePosted() if by != who:
            return Why.MESSAGE
        case ev.RequesterReminded():
            return Why.REMINDER
        case ev.ConversationResolved():
            return Why.RESOLVED
        case ev.ConversationClosed(how="forced"):
            return Why.CLOSED
        case _:
            return None


def _is_over(
    event: ev.Event, why: Why, reader: Actor, sight: Sight, live_offers: frozenset[str]
) -> bool:
    """Whether what it says has passed meanwhile, or is not theirs to know any more."""
    assert event.conv is not None
    match why:
        case Why.OFFER:
            return not (isinstance(event.data, ev.OfferMade) and event.data.offer_id in live_offers)
        case Why.ASSIGNMENT | Why.QUESTION:
            return sight.assignee != reader.principal.person
        case Why.MENTION:
            return sees(reader, ev.staff_stream(event.conv), sight) is None
        case _:
            return not sight.has(reader.principal)


def standing(
    push: Push,
    covered: Sequence[Covered],
    *,
    delivered: int,
    read: int,
    bounds: Bounds | None,
) -> list[Covered]:
    """What the push still has to say, looked at anew; nothing: it is disarmed.

    `bounds` are what the person may see of the stream now, none: nothing any more.
    """
    seen = read if push.is_second_rung else delivered
    return [
        each
        for each in covered
        if push.first <= each.position <= push.last
        and each.position > seen
        and not each.is_withdrawn
        and bounds is not None
        and bounds.hold(each.position)
    ]


def notice(
    said: Sequence[Covered],
    *,
    who: Principal,
    conv: str,
    push_id: str,
    language: str | None,
    settings: DeskSettings,
) -> Notice:
    """The words of a push about what stands, never empty: who and how many.

    With `push_excerpt_chars` also the first characters of the newest message.
    """
    newest = max(said, key=lambda each: each.position)
    spoken = "en" if language == "en" else "zh-CN"
    words = WORDS[spoken][newest.why]
    page = "workbench" if who.realm is Realm.AGENT else "h5"
    shown = _excerpt(said, settings.push_excerpt_chars)
    line = words.text.format(by=newest.by or DESK_NAMES[spoken], n=len(said))
    return Notice(
        title=words.title,
        text=f"{line}\n{shown[1]}" if shown else line,
        path=f"/{page}/c/{conv}?p={push_id}",
        button=BUTTONS[spoken],
        count=len(said),
        announces=tuple(each.msg_id for each in said if each.msg_id is not None),
        shows=shown[0] if shown else None,
    )


def _excerpt(said: Sequence[Covered], chars: int) -> tuple[str, str] | None:
    """The newest message with words, and as many of them as may be shown."""
    for each in sorted(said, key=lambda each: each.position, reverse=True):
        if chars and each.msg_id is not None and each.text.strip():
            return each.msg_id, each.text[:chars]
    return None


def recalls_card(
    announced: Sequence[str],
    shown: str | None,
    withdrawn: frozenset[str],
    *,
    sent_at: int,
    now: int,
) -> bool:
    """Whether a card that went out is taken back: it shows such a text, or speaks of nothing else.

    WeCom lets a card be recalled for 24 hours.
    """
    if now - sent_at > RECALL_CARD_MS:
        return False
    return shown in withdrawn or (bool(announced) and withdrawn.issuperset(announced))


# What becomes of it ------------------------------------------------------------------------------


class Stage(StrEnum):
    """Where a push stands. What is settled (the last three) waits for nothing."""

    ARMED = "armed"
    SENDING = "sending"  # frozen; its bytes may have left
    RECALLING = "recalling"  # accepted, and to be taken back
    NOTIFIED = "notified"
    FAILED = "failed"
    RECALLED = "recalled"


class Failure(StrEnum):
    """Why a push failed, where it is no code of WeCom's."""

    UNKNOWN = "unknown"  # no answer for three and a half hours
    WITHDRAWN = "withdrawn"  # no answer, and then the words it shows were withdrawn
    INVALID_USER = "invalid_user"
    UNLICENSED_USER = "unlicensed_user"


UNTOLD = frozenset({Failure.UNKNOWN, Failure.WITHDRAWN})
"""Whether these were seen nobody knows, so the next push of the key covers their positions too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Write a push's end by compare-and-set: under another lease it is somebody else's by now."""

    push_id: str
    lease_no: int
    stage: Stage
    reason: str | None = None
    msgid: str | None = None


@dataclass(frozen=True, slots=True)
class Disarm:
    """Nothing is left to be said."""


@dataclass(frozen=True, slots=True)
class Later:
    """Not before this time (Unix ms)."""

    due: int


@dataclass(frozen=True, slots=True)
class Fail:
    reason: Failure


@dataclass(frozen=True, slots=True)
class Send:
    """Freeze it and send it."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same bytes again: whether they were accepted before is not known."""


Step = Disarm | Later | Fail | Send | Repeat


def step_of_armed(*, stands: bool, is_reachable: bool, due: int, now: int) -> Step:
    """What a waiting push whose time has come does now that all was looked at again."""
    if not (stands and is_reachable):
        return Disarm()
    return Later(due) if due > now else Send()


def step_of_frozen(*, stands: bool, has_body: bool, tried_at: int, now: int) -> Step:
    """What a push does whose bytes may have left, without an answer."""
    if not stands:
        return Disarm()
    if not has_body:
        return Fail(Failure.WITHDRAWN)
    return Fail(Failure.UNKNOWN) if now - tried_at >= REPEAT_MS_MAX else Repeat()


def repeat_at(tries: int, now: int) -> int:
    """When to try again after so many tries, this one included (Unix ms)."""
    return now + REPEATS_MS[min(max(tries, 1), len(REPEATS_MS)) - 1]


@dataclass(frozen=True, slots=True)
class Words:
    """Title and text of a notice; `{by}` is who, `{n}` how many."""

    title: str
    text: str


DESK_NAMES: Mapping[str, str] = {"zh-CN": "IT服务台", "en": "The IT desk"}
BUTTONS: Mapping[str, str] = {"zh-CN": "查看", "en": "Open"}
WORDS: Mapping[str, Mapping[Why, Words]] = {
    "zh-CN": {
        Why.MESSAGE: Words("IT服务台有新回复", "{by}回复了您（{n} 条）"),
        Why.QUESTION: Words("会话有新消息", "{by}写了新消息（{n} 条）"),
        Why.SECOND_RUNG: Words("IT服务台有未读回复", "{by}的回复您还没有看（{n} 条）"),
        Why.REMINDER: Words("IT服务台等待您的回复", "问题解决了吗？如不回复，会话将自动结束"),
        Why.RESOLVED: Words("IT服务台：问题已解决", "{by}认为问题已解决，请确认或评价"),
        Why.CLOSED: Words("IT服务台：会话已结束", "{by}结束了会话"),
        Why.OFFER: Words("有会话待您接单", "有会话待您接单（{n} 个）"),
        Why.ASSIGNMENT: Words("有会话分配给您", "{by}将会话分配给您（{n} 个）"),
        Why.MENTION: Words("有人在内部备注中提到您", "{by}提到了您（{n} 条）"),
    },
    "en": {
        Why.MESSAGE: Words("New reply from the IT desk", "{by} has replied ({n})"),
        Why.QUESTION: Words("New message in a conversation", "{by} has written ({n})"),
        Why.SECOND_RUNG: Words("Unread reply from the IT desk", "{by} has replied ({n}, unread)"),
        Why.REMINDER: Words(
            "The IT desk waits for you", "Is it solved? Without a word it will end"
        ),
        Why.RESOLVED: Words(
            "IT desk: solved", "{by} says that it is solved. Please confirm or rate"
        ),
        Why.CLOSED: Words("IT desk: ended", "{by} has ended the conversation"),
        Why.OFFER: Words(
            "A conversation is offered to you", "A conversation is offered to you ({n})"
        ),
        Why.ASSIGNMENT: Words("A conversation is yours", "{by} has given you a conversation ({n})"),
        Why.MENTION: Words("You are mentioned in a note", "{by} has mentioned you ({n})"),
    },
}
