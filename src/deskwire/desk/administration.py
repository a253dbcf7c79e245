"""The office is changed: availability, groups, categories, tags, canned replies, people, settings.

Simple on purpose: a command, one event, one record. Every record has a version, so that what one
has not seen is not written over. Invariant: what is out of bounds is never saved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import Any

from deskwire.desk import commands as ask
from deskwire.desk import events as ev
from deskwire.desk import office_commands as ask_office
from deskwire.desk.access import Duty, has_duty
from deskwire.desk.deadlines import Arm, Disarm, Timer, TimerKind, next_edge
from deskwire.desk.decision import Moment
from deskwire.desk.messages import TEXT_CHARS_MAX, check_note, is_storable
from deskwire.desk.office import (
    DEFAULTS,
    SETTINGS,
    CannedReply,
    Category,
    DeskSettings,
    Group,
    Pick,
    Routing,
    Scope,
    Span,
    Tag,
    Week,
)
from deskwire.desk.people import (
    Actor,
    Agent,
    AgentChanged,
    Availability,
    PersonId,
    Principal,
    Realm,
    Role,
)
from deskwire.desk.refusals import Code, Refusal, invalid

NAME_CHARS_MAX = 64
WORD_CHARS_MAX = 32
SHORTCUT = re.compile(r"\S{1,32}")
COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
OFFER_S = (10, 120)
FIRST_ANSWER_S = (30, 900)
QUEUE_MAX = (1, 10_000)
CAPACITY = (1, 50)
MEMBERS_MAX = 500
SKILLS_MAX = 50
SPANS_MAX = 8
ORDER = (0, 10_000)
AVATAR_CHARS_MAX = 512
RECORDS_MAX = 500  # of a kind that every page loads whole: groups, categories, tags, replies
CLOSED_DAYS_MAX = 366
DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPerson:
    """A person as an administrator saves them. `wecom_userid` is lower case, and unique."""

    id: PersonId
    name: str
    wecom_userid: str | None
    department: str
    avatar: str | None
    language: str | None
    is_disabled: bool
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAgent:
    """What makes a person an agent, as an administrator saves it. The login name is unique."""

    person: PersonId
    login_name: str
    role: Role
    capacity: int
    skills: tuple[str, ...]
    pushes: bool
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSettings:
    """All settings, the unchanged ones too."""

    settings: DeskSettings
    version: int


Record = Group | Category | Tag | CannedReply | SavedPerson | SavedAgent | SavedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeFacts:
    """What is known of the record that a command names, read in the deciding transaction.

    `version` is the stored one, 0 if there is none yet. `stored` is the category, tag or reply that
    is archived or saved anew. `known` are the ids among those named that exist: persons, agents,
    group, parent. `members` are the group's so far, `groups` the agent's. `has_children`: other
    categories name this one as their parent. `is_taken`: another record has this login name, WeCom
    id or shortcut. `beside` counts the records of the kind that stand already; of replies those of
    the same owner or group.
    """

    version: int = 0
    stored: Category | Tag | CannedReply | None = None
    known: frozenset[str] = frozenset()
    group: Group | None = None
    parent: Category | None = None
    settings: DeskSettings = DEFAULTS
    members: frozenset[PersonId] = frozenset()
    groups: frozenset[str] = frozenset()
    has_children: bool = False
    is_taken: bool = False
    beside: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskDecision:
    """A "yes" that belongs to no conversation: what is to be written in the one transaction.

    `rights_of` are people whose rights may have shrunk: each gets an `access` row for all they
    watch.
    """

    events: tuple[ev.Event, ...]
    record: Record | None = None
    agents: tuple[AgentChanged, ...] = ()
    timers: tuple[Timer, ...] = ()
    rights_of: tuple[PersonId, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)


# Availability -------------------------------------------------------------------------------------


def decide_availability(
    actor: Actor, command: ask.SetAvailability, agent: Agent | None, moment: Moment
) -> DeskDecision | Refusal:
    """What an agent says of themselves, or a supervisor of one who shares a group.

    `agent` is the one named, else the actor; none: there is no such agent.
    """
    if refusal := check_note(command.reason, "reason"):
        return refusal
    if not has_duty(actor, Duty.OWN_AVAILABILITY):
        return Refusal(Code.NOT_ALLOWED)
    if agent is None or agent.is_disabled or agent.id != (command.agent or actor.person.id):
        return invalid("agent")
    is_own = agent.id == actor.person.id
    if not is_own and not has_duty(actor, Duty.ANOTHERS_AVAILABILITY, agent.groups):
        return Refusal(Code.NOT_ALLOWED)
    availability = Availability(command.availability)
    if (availability, command.reason) == (agent.availability, agent.availability_reason):
        return DeskDecision(events=())
    return _availability(actor, agent, availability, command.reason, moment)


def _availability(
    actor: Actor, agent: Agent, availability: Availability, reason: str | None, moment: Moment
) -> DeskDecision:
    said = ev.AgentAvailabilityChanged(
        agent_id=agent.id, availability=availability.value, reason=reason, since=moment.now
    )
    own = ev.personal_stream(Principal(Realm.AGENT, agent.id))
    groups = sorted(agent.groups) if availability is Availability.ONLINE else []
    return DeskDecision(
        events=(_event(actor, said, moment, (ev.DESK_STREAM, own)),),
        agents=(
            AgentChanged(
                agent=agent.id,
                missed_offers=0,
                availability=availability,
                availability_reason=reason,
                availability_since=moment.now,
            ),
        ),
        timers=_dispatch(groups, moment.now),
    )


def _dispatch(groups: Iterable[str], now: int) -> tuple[Timer, ...]:
    return tuple(Arm(kind=TimerKind.DISPATCH, key=group, due=now) for group in groups)


def _event(actor: Actor, data: ev.Data, moment: Moment, streams: tuple[ev.Stream, ...]) -> ev.Event:
    return ev.Event(
        id=moment.new_id(),
        at=moment.now,
        conv=None,
        by=ev.By(actor.principal, actor.person),
        data=data,
        streams=streams,
        anchor=0,
    )


# Records ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """A record that is in order, and what its saving concerns beside it."""

    record: Record
    dispatches: frozenset[str] = frozenset()
    rights_of: frozenset[PersonId] = frozenset()


def decide_office(
    actor: Actor, command: ask_office.OfOffice, facts: OfficeFacts, moment: Moment
) -> DeskDecision | Refusal:
    """Save or archive a record of the office. The answer names its new version."""
    if refusal := _duty_refused(actor, command, facts):
        return refusal
    saved = RULES[type(command)](actor, command, facts)
    if isinstance(saved, Refusal):
        return saved
    if command.version != facts.version:
        return Refusal(Code.VERSION_CHANGED, {"version": facts.version})
    if facts.version == 0 and facts.beside >= RECORDS_MAX:
        return Refusal(Code.TOO_LARGE, {"max": RECORDS_MAX})
    record = saved.record
    changed = ev.SettingsChanged(part=PARTS[type(command)], version=record.version)
    return DeskDecision(
        events=(_event(actor, changed, moment, (ev.DESK_STREAM,)),),
        record=record,
        timers=(
            *_dispatch(sorted(saved.dispatches), moment.now),
            *_edge(record, moment.now),
            *_gone(record, moment.now),
        ),
        rights_of=tuple(sorted(saved.rights_of)),
        result={"version": record.version},
    )


def _edge(record: Record, now: int) -> tuple[Timer, ...]:
    """When a group next opens or closes, the dispatcher looks."""
    if not isinstance(record, Group):
        return ()
    due = next_edge(record.hours, now)
    if due is None:
        return (Disarm(kind=TimerKind.HOURS_EDGE, key=record.id),)
    return (Arm(kind=TimerKind.HOURS_EDGE, key=record.id, due=due),)


def _gone(record: Record, now: int) -> tuple[Timer, ...]:
    """Who is disabled comes back to no conversation: they are lost at once, without the grace."""
    if not isinstance(record, SavedPerson) or not record.is_disabled:
        return ()
    return (Arm(kind=TimerKind.AGENT_LOST, key=record.id, due=now),)


def _duty_refused(actor: Actor, command: ask_office.OfOffice, facts: OfficeFacts) -> Refusal | None:
    """A canned reply needs the duty of whose it is, and of whose it was."""
    duties: list[tuple[Duty, frozenset[str]]] = []
    if not isinstance(command, _OfReply):
        duties.append((Duty.ADMINISTER, frozenset()))
    else:
        duties.append((Duty.OWN_REPLY, frozenset()))
        if isinstance(command, ask_office.SaveCannedReply):
            duties.append(_duty_of(Scope(command.scope), command.group_id))
        if isinstance(facts.stored, CannedReply):
            duties.append(_duty_of(facts.stored.scope, facts.stored.group_id))
            if facts.stored.owner not in (None, actor.person.id):
                return Refusal(Code.NOT_FOUND)
    may = all(has_duty(actor, duty, groups) for duty, groups in duties)
    return None if may else Refusal(Code.NOT_ALLOWED)


def _duty_of(scope: Scope, group_id: str | None) -> tuple[Duty, frozenset[str]]:
    match scope:
        case Scope.MINE:
            return Duty.OWN_REPLY, frozenset()
        case Scope.GROUP:
            return Duty.GROUP_REPLY, frozenset({group_id or ""})
        case Scope.ALL:
            return Duty.EVERYBODYS_REPLY, frozenset()


def _group(_: Actor, command: ask_office.SaveGroup, facts: OfficeFacts) -> _Saved | Refusal:
    bounds = {
        "group_id": _is_id(command.group_id),
        "name": _is_name(command.name),
        "offer_s": _is_within(command.offer_s, OFFER_S),
        "first_answer_s": not command.first_answer_s
        or _is_within(command.first_answer_s, FIRST_ANSWER_S),
        "queue_max": _is_within(command.queue_max, QUEUE_MAX),
        "members": len(command.members) <= MEMBERS_MAX and facts.known.issuperset(command.members),
        "week": command.week is None or _is_week(command.week),
        "closed_days": len(command.closed_days) <= CLOSED_DAYS_MAX
        and all(_is_date(day) for day in command.closed_days)
        and (command.week is not None or not command.closed_days),
    }
    if refusal := _out_of_bounds(bounds):
        return refusal
    members = frozenset(PersonId(member) for member in command.members)
    group = Group(
        id=command.group_id,
        name=command.name,
        queue_max=command.queue_max,
        routing=Routing(command.routing),
        pick=Pick(command.pick),
        offer_s=command.offer_s,
        first_answer_s=command.first_answer_s,
        hours=command.hours,
        members=tuple(sorted(members)),
        version=facts.version + 1,
    )
    return _Saved(record=group, dispatches=frozenset({group.id}), rights_of=facts.members - members)


def _category(_: Actor, command: ask_office.SaveCategory, facts: OfficeFacts) -> _Saved | Refusal:
    """Categories are two deep: a parent has no parent of its own, a child no children."""
    parent, wants = facts.parent, command.parent_id
    bounds = {
        "category_id": _is_id(command.category_id),
        "name_zh": _is_name(command.name_zh),
        "name_en": _is_name(command.name_en),
        "order": _is_within(command.order, ORDER),
        "skill": command.skill is None or _is_word(command.skill),
        "parent_id": wants is None
        or (
            parent is not None
            and parent.id == wants != command.category_id
            and parent.parent_id is None
            and not facts.has_children
        ),
    }
    if refusal := _out_of_bounds(bounds):
        return refusal
    if facts.group is None or facts.group.id != command.group_id:
        return invalid("group_id")
    return _Saved(
        record=Category(
            id=command.category_id,
            name_zh=command.name_zh,
            name_en=command.name_en,
            group=facts.group,
            order=command.order,
            parent_id=command.parent_id,
            skill=command.skill,
            version=facts.version + 1,
        ),
        dispatches=frozenset({facts.group.id}),
    )


def _tag(_: Actor, command: ask_office.SaveTag, facts: OfficeFacts) -> _Saved | Refusal:
    bounds = {
        "tag_id": _is_id(command.tag_id),
        "name": _is_word(command.name),
        "colour": COLOUR.fullmatch(command.colour) is not None,
    }
    return _out_of_bounds(bounds) or _Saved(
        record=Tag(
            id=command.tag_id,
            name=command.name,
            colour=command.colour,
            version=facts.version + 1,
        )
    )


def _reply(
    actor: Actor, command: ask_office.SaveCannedReply, facts: OfficeFacts
) -> _Saved | Refusal:
    scope = Scope(command.scope)
    bounds = {
        "reply_id": _is_id(command.reply_id),
        "shortcut": SHORTCUT.fullmatch(command.shortcut) is not None
        and is_storable(command.shortcut)
        and not facts.is_taken,
        "text": 0 < len(command.text) <= TEXT_CHARS_MAX
        and bool(command.text.strip())
        and is_storable(command.text),
        "group_id": (command.group_id is not None) is (scope is Scope.GROUP)
        and (command.group_id is None or command.group_id in facts.known),
    }
    return _out_of_bounds(bounds) or _Saved(
        record=CannedReply(
            id=command.reply_id,
            scope=scope,
            shortcut=command.shortcut,
            text=command.text,
            owner=actor.person.id if scope is Scope.MINE else None,
            group_id=command.group_id,
            version=facts.version + 1,
        )
    )


def _agent(actor: Actor, command: ask_office.SaveAgent, facts: OfficeFacts) -> _Saved | Refusal:
    """Nobody takes the office from themselves: the last administrator would be locked out."""
    login_name = command.login_name.casefold()
    is_own = command.person == actor.person.id
    bounds = {
        "person": command.person in facts.known,
        "login_name": _is_name(login_name) and not facts.is_taken,
        "role": not is_own or Role(command.role) is Role.ADMIN,
        "capacity": _is_within(command.capacity, CAPACITY),
        "skills": len(command.skills) <= SKILLS_MAX and all(map(_is_word, command.skills)),
    }
    return _out_of_bounds(bounds) or _Saved(
        record=SavedAgent(
            person=PersonId(command.person),
            login_name=login_name,
            role=Role(command.role),
            capacity=command.capacity,
            skills=tuple(sorted(set(command.skills))),
            pushes=command.pushes,
            version=facts.version + 1,
        ),
        dispatches=facts.groups,
        rights_of=frozenset({PersonId(command.person)}),
    )


def _person(actor: Actor, command: ask_office.SavePerson, facts: OfficeFacts) -> _Saved | Refusal:
    """Nobody disables themselves: the last administrator would be locked out."""
    userid = command.wecom_userid
    bounds = {
        "person": _is_id(command.person),
        "name": _is_name(command.name),
        "wecom_userid": userid is None
        or (_is_name(userid) and userid == userid.casefold() and not facts.is_taken),
        "department": len(command.department) <= NAME_CHARS_MAX and is_storable(command.department),
        "avatar": command.avatar is None or _is_address(command.avatar),
        "is_disabled": not (command.is_disabled and command.person == actor.person.id),
    }
    person = PersonId(command.person)
    return _out_of_bounds(bounds) or _Saved(
        record=SavedPerson(
            id=person,
            name=command.name,
            wecom_userid=userid,
            department=command.department,
            avatar=command.avatar,
            language=command.language,
            is_disabled=command.is_disabled,
            version=facts.version + 1,
        ),
        rights_of=frozenset({person} if command.is_disabled else ()),
    )


def _settings(_: Actor, command: ask_office.SaveSettings, facts: OfficeFacts) -> _Saved | Refusal:
    for name, value in command.values.items():
        known = SETTINGS.get(name)
        if known is None or not known.allows(value):
            return invalid(name if known else "values")
    settings = replace(facts.settings, **command.values)
    return _Saved(record=SavedSettings(settings=settings, version=facts.version + 1))


def _archive(
    _: Actor,
    _command: ask_office.ArchiveCategory | ask_office.ArchiveTag | ask_office.ArchiveCannedReply,
    facts: OfficeFacts,
) -> _Saved | Refusal:
    """Archiving twice changes nothing but the version."""
    stored = facts.stored
    if stored is None:
        return Refusal(Code.NOT_FOUND)
    return _Saved(record=replace(stored, is_archived=True, version=facts.version + 1))


_OfReply = (ask_office.SaveCannedReply, ask_office.ArchiveCannedReply)

# Each takes commands of its own class; the table joins the two.
RULES: Mapping[type[ask_office.OfOffice], Callable[[Actor, Any, OfficeFacts], _Saved | Refusal]] = {
    ask_office.SaveGroup: _group,
    ask_office.SaveCategory: _category,
    ask_office.SaveTag: _tag,
    ask_office.SaveCannedReply: _reply,
    ask_office.SaveAgent: _agent,
    ask_office.SavePerson: _person,
    ask_office.SaveSettings: _settings,
    ask_office.ArchiveCategory: _archive,
    ask_office.ArchiveTag: _archive,
    ask_office.ArchiveCannedReply: _archive,
}

# The `part` of `settings.changed`: what a client loads anew.
PARTS: Mapping[type[ask_office.OfOffice], str] = {
    ask_office.SaveGroup: "groups",
    ask_office.SaveCategory: "categories",
    ask_office.SaveTag: "tags",
    ask_office.SaveCannedReply: "canned_replies",
    ask_office.SaveAgent: "agents",
    ask_office.SavePerson: "people",
    ask_office.SaveSettings: "settings",
    ask_office.ArchiveCategory: "categories",
    ask_office.ArchiveTag: "tags",
    ask_office.ArchiveCannedReply: "canned_replies",
}


# Bounds -------------------------------------------------------------------------------------------


def _out_of_bounds(fields: Mapping[str, bool]) -> Refusal | None:
    """The first field that is not in order."""
    return next((invalid(name) for name, is_good in fields.items() if not is_good), None)


def _is_id(text: str) -> bool:
    return ID.fullmatch(text) is not None


def _is_name(text: str) -> bool:
    return len(text.strip()) > 0 and len(text) <= NAME_CHARS_MAX and is_storable(text)


def _is_word(text: str) -> bool:
    return len(text.strip()) > 0 and len(text) <= WORD_CHARS_MAX and is_storable(text)


def _is_address(text: str) -> bool:
    return text.startswith("https://") and len(text) <= AVATAR_CHARS_MAX and is_storable(text)


def _is_within(value: int, bounds: tuple[int, int]) -> bool:
    low, high = bounds
    return low <= value <= high


def _is_week(week: Week) -> bool:
    """Seven days of spans that are sorted and apart; two that touch are one."""
    return len(week) == 7 and all(len(day) <= SPANS_MAX and _is_day(day) for day in week)


def _is_day(day: tuple[Span, ...]) -> bool:
    edges = [minute for span in day for minute in span]
    is_rising = all(earlier < later for earlier, later in pairwise(edges))
    return is_rising and all(0 <= minute <= DAY_MIN for minute in edges)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
