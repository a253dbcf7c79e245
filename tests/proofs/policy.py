"""Who may what, once more and by hand: the table of access, and every door with its line of it.

Written from the design and not from `desk/access`, so that the two can disagree. Invariant: no
expectation here is computed by the code that it judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# The table, cell by cell. R requester, I invited employee, P agent participant, G other agent of
# the group, S supervisor of the group; an admin may what S in every group.
COLUMNS: Final = "RIPGS"
SEE: Final = "see the public stream"
STAFF: Final = "see notes, reasons, tags, priority, pushes; post a note"
POST: Final = "post publicly"
RECALL: Final = "recall own message"
CLAIM: Final = "claim, join, accept an offer"
HANDLE: Final = "transfer, hold, resolve, requeue, invite, remove"
TAKE_OVER: Final = "take over"
FORCE: Final = "redact; assign or close by force; set another's availability; export"
OWN: Final = "cancel, confirm, reopen, rate"
LABEL: Final = "category, priority, tags"
ADMIN: Final = "recalled originals; people, groups, settings"
ROWS: Mapping[str, tuple[str, str, str, str, str]] = {
    SEE: ("all", "within its bounds", "✓", "✓", "✓"),
    STAFF: ("–", "–", "✓", "✓", "✓"),
    POST: ("until closed", "until closed", "active, on_hold, resolved", "after join", "after join"),
    RECALL: ("✓", "✓", "✓", "✓", "✓"),
    CLAIM: ("–", "–", "✓", "✓", "✓"),
    HANDLE: ("–", "leave", "assignee; last agent resolves; leave", "–", "✓"),
    TAKE_OVER: ("–", "–", "if assignee absent", "if assignee absent", "✓"),
    FORCE: ("–", "–", "–", "–", "✓"),
    OWN: ("✓", "–", "–", "–", "–"),
    LABEL: ("at opening", "–", "✓", "✓", "✓"),
    ADMIN: ("–", "–", "–", "–", "admin only"),
}  # fmt: skip
# Beside the table: what concerns no conversation, and T17, by which its last agent alone resumes.
EVERY_EMPLOYEE: Final = "every employee"
EVERY_AGENT: Final = "every agent"
EVERYBODY: Final = "everybody with a login of the realm"
ANYBODY: Final = "anybody at all"
UNASKED: Final = "anybody, and no login is asked for"
SHARED_GROUP: Final = "a supervisor who shares a group"
SHARED_OR_SELF: Final = "oneself, or a supervisor who shares a group"
ADMINS: Final = "admins"
LAST_AGENT: Final = "the last agent"
THE_ASKED: Final = "whoever is asked"
AUTHOR: Final = "its author"
NOBODY: Final = "no client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A conversation and those around it. Both are on the same stages."""

    requester: str
    group: str
    assignee: str
    participant: str  # an agent who has joined
    invited: str
    other_category: str  # of the group where the requester has nothing open
    foreign_category: str  # of its own group
    foreign_group: str


THINGS: Mapping[str, Thing] = {
    "one's own": Thing(
        requester="ann", group="support", assignee="wang", participant="mei", invited="cy",
        other_category="printer", foreign_category="account", foreign_group="facilities",
    ),
    "another's": Thing(
        requester="bo", group="facilities", assignee="qian", participant="zhao", invited="dai",
        other_category="network", foreign_category="scanner", foreign_group="support",
    ),
}  # fmt: skip
CATEGORIES: Mapping[str, str] = {"support": "network", "facilities": "printer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A kind of somebody at the door. Without a person the cookie is what `cookie` says."""

    realm: str
    person: str | None = None
    role: str = ""
    groups: tuple[str, ...] = ()
    cookie: str = "good"


def _agent(person: str, role: str, *groups: str) -> Identity:
    return Identity(realm="agent", person=person, role=role, groups=groups)


IDENTITIES: Mapping[str, Identity] = {
    "the requester": Identity(realm="employee", person="ann"),
    "the invited employee": Identity(realm="employee", person="cy"),
    "another employee": Identity(realm="employee", person="bo"),
    "the assignee": _agent("wang", "agent", "support"),
    "an agent participant": _agent("mei", "agent", "support"),
    "an agent of the group": _agent("chen", "agent", "support"),
    "the supervisor of the group": _agent("lina", "supervisor", "support"),
    "an agent of another group": _agent("qian", "agent", "facilities"),
    "the supervisor of another group": _agent("sun", "supervisor", "facilities"),
    "an admin": _agent("root", "admin"),
    "nobody, among agents": Identity(realm="agent", cookie="none"),
    "nobody, among employees": Identity(realm="employee", cookie="none"),
    "a revoked login of an agent": Identity(realm="agent", cookie="revoked"),
    "a revoked login of an employee": Identity(realm="employee", cookie="revoked"),
    "an employee's login among agents": Identity(realm="agent", cookie="other realm"),
    "an agent's login among employees": Identity(realm="employee", cookie="other realm"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A command on a stage, the line that decides, and what it says to those who may.

    `word` is what a cell that tells several apart calls it. `yes` is the refusal's code, none for
    success; `others` names persons with another one. A `None` among `args` is filled by the stage.
    """

    command: str
    line: str
    args: Mapping[str, Any] = field(default_factory=dict)
    stage: str = "active"
    word: str = ""
    yes: str | None = None
    others: Mapping[str, str | None] = field(default_factory=dict)
    about: str = "the conversation"


_SAID: Mapping[str, Any] = {"kind": "text", "body": "x"}
_WHY: Mapping[str, Any] = {"reason": "x"}
_LABELS: Mapping[str, Any] = {"version": None}
_HELD = {"until": None, "reason": "x"}
_MINE = "already_taken"

# Every command that a client may name, on a stage where it can succeed. Of each there is at least
# one line; `by the desk itself` follows below.
ASKS: tuple[Ask, ...] = (
    Ask(command="open_conversation", line=EVERY_EMPLOYEE, args={"category_id": None, **_SAID},
        about="a second conversation"),
    Ask(command="post_message", line=POST, args={**_SAID, "send_anyway": True}),
    Ask(command="post_message", line=POST, args=_SAID, stage="queued", yes="claim_first",
        others={"ann": None, "cy": None, "bo": None, "dai": None}),
    Ask(command="post_message", line=POST, args=_SAID, stage="closed", yes="closed"),
    Ask(command="post_note", line=STAFF, args={"body": "x"}),
    Ask(command="recall_message", line=AUTHOR, args={"msg_id": None}),
    Ask(command="redact_message", line=FORCE, args={"msg_id": None, **_WHY}),
    Ask(command="cancel_conversation", line=OWN, stage="queued"),
    Ask(command="confirm_solved", line=OWN, stage="resolved"),
    Ask(command="reopen_conversation", line=OWN, args=_SAID, stage="resolved"),
    Ask(command="reopen_conversation", line=OWN, args=_SAID, stage="closed"),
    Ask(command="rate_conversation", line=OWN, args={"score": 5}, stage="resolved"),
    Ask(command="claim_conversation", line=CLAIM, stage="queued"),
    Ask(command="claim_conversation", line=CLAIM, yes="already_taken"),
    Ask(command="join_conversation", line=CLAIM),
    Ask(command="leave_conversation", line=HANDLE, word="leave",
        others={"wang": "wrong_state", "qian": "wrong_state"}),
    Ask(command="take_over", line=TAKE_OVER, args=_WHY),
    Ask(command="take_over", line=TAKE_OVER, args=_WHY, stage="absent", word="absent",
        others={"wang": _MINE, "qian": _MINE}),
    Ask(command="accept_offer", line=CLAIM, args={"offer_id": None}, stage="offered",
        word="offer", yes="not_allowed"),
    Ask(command="decline_offer", line=CLAIM, args={"offer_id": None, **_WHY}, stage="offered",
        word="offer", yes="not_allowed"),
    Ask(command="transfer_to_agent", line=HANDLE,
        args={"agent": None, "note": "x", "if_absent": "wait"}),
    Ask(command="transfer_to_group", line=HANDLE, args={"group": None, "note": "x"}),
    Ask(command="hold_conversation", line=HANDLE, args=_HELD),
    Ask(command="resume_conversation", line=LAST_AGENT, stage="on_hold"),
    Ask(command="resolve_conversation", line=HANDLE, word="resolve"),
    Ask(command="resolve_conversation", line=HANDLE, word="resolve", stage="on_hold"),
    Ask(command="requeue_conversation", line=HANDLE, args=_WHY),
    Ask(command="assign_conversation", line=FORCE, args={"agent": None, **_WHY}),
    Ask(command="close_conversation", line=FORCE, args=_WHY),
    Ask(command="invite_participant", line=HANDLE, args={"realm": "employee", "person": "eve"}),
    Ask(command="remove_participant", line=HANDLE, args={"realm": "employee", "person": None}),
    Ask(command="set_category", line=LABEL, args={"category_id": None, "version": None}),
    Ask(command="set_priority", line=LABEL, args={"priority": 1, **_LABELS}),
    Ask(command="set_tags", line=LABEL, args={"tags": [], **_LABELS}),
    Ask(command="set_availability", line=EVERY_AGENT, args={"availability": "busy"},
        about="oneself"),
    Ask(command="set_availability", line=SHARED_OR_SELF,
        args={"availability": "busy", "agent": None}, about="an agent"),
    Ask(command="save_draft", line=STAFF, args={"mode": "note", "text": "x", "rev": 0}),
    Ask(command="drop_draft", line=STAFF, args={"mode": "note"}),
    Ask(command="save_group", line=ADMINS, about="the desk",
        args={"group_id": "new", "name": "x", "members": ["wang"], "version": 0}),
    Ask(command="save_category", line=ADMINS, about="the desk",
        args={"category_id": "new", "name_zh": "x", "name_en": "x", "group_id": "support",
              "version": 0}),
    Ask(command="save_tag", line=ADMINS, about="the desk",
        args={"tag_id": "new", "name": "x", "colour": "#000000", "version": 0}),
    Ask(command="save_agent", line=ADMINS, about="the desk",
        args={"person": "eve", "login_name": "eve", "role": "agent", "version": 0}),
    Ask(command="save_person", line=ADMINS, about="the desk",
        args={"person": "new", "name": "x", "version": 0}),
    Ask(command="save_settings", line=ADMINS, about="the desk",
        args={"values": {"recall_window_s": 60}, "version": 0}),
    Ask(command="archive_category", line=ADMINS, about="the desk",
        args={"category_id": "account", "version": 1}),
    Ask(command="archive_tag", line=ADMINS, about="the desk",
        args={"tag_id": "none", "version": 0}, yes="not_found"),
    Ask(command="save_canned_reply", line=EVERY_AGENT, about="the desk",
        args={"reply_id": "new", "scope": "mine", "shortcut": "x", "text": "x", "version": 0}),
    Ask(command="save_canned_reply", line=SHARED_GROUP, about="a group",
        args={"reply_id": "new", "scope": "group", "group_id": None, "shortcut": "x", "text": "x",
              "version": 0}),
    Ask(command="save_canned_reply", line=ADMINS, about="everybody",
        args={"reply_id": "new", "scope": "all", "shortcut": "x", "text": "x", "version": 0}),
    Ask(command="archive_canned_reply", line=EVERY_AGENT, about="the desk",
        args={"reply_id": "none", "version": 0}, yes="not_found"),
)  # fmt: skip

# Which realm may name a command at all; in the other it is not allowed, whatever it is about.
BOTH: Final = {"post_message", "recall_message", "leave_conversation"}
EMPLOYEES: Final = {
    "open_conversation", "cancel_conversation", "confirm_solved", "reopen_conversation",
    "rate_conversation",
}  # fmt: skip

# From timers, the dispatcher, pushes, presence and reads only: to a client there is no such name.
BY_THE_DESK: Final = {
    "make_offer", "expire_offer", "lose_agent", "miss_first_answer", "drop_preference",
    "return_from_hold", "remind_requester", "auto_resolve", "close_resolved", "record_push",
    "regain_agent", "record_inspection",
}  # fmt: skip

# Every route under /api/<realm>: its line, and whether its answer names the conversation to those
# who see it. `{conv}`, `{note}` and the like are filled in from the thing that is asked about.
ROUTES: Mapping[tuple[str, str], str] = {
    ("POST", "/commands"): "commands",
    ("GET", "/boot"): EVERYBODY,
    ("GET", "/conversations"): EVERYBODY,
    ("GET", "/conversations/{conv_id}"): SEE,
    ("GET", "/conversations/{conv_id}/messages"): SEE,
    ("GET", "/events"): "streams",
    ("POST", "/attachments"): EVERYBODY,
    ("GET", "/attachments/{attachment_id}"): "attachments",
    ("POST", "/me"): EVERYBODY,
    ("POST", "/logout"): EVERYBODY,
    ("GET", "/login"): UNASKED,
    ("POST", "/login"): ANYBODY,
    ("POST", "/renew"): EVERYBODY,
    ("GET", "/rows"): EVERYBODY,
    ("GET", "/logins"): EVERYBODY,
    ("DELETE", "/logins/{login_id}"): "its owner, or an admin",
    ("PUT", "/agents/{person}/password"): "its owner, or an admin's",
    ("GET", "/people"): ADMINS,
    ("GET", "/people/{person_id}/conversations"): EVERYBODY,
    ("GET", "/audit"): STAFF,
    ("GET", "/withdrawn/{msg_id}"): ADMIN,
    ("GET", "/export.csv"): "every supervisor",
    ("GET", "/doctor"): ADMINS,
    ("GET", "/trace/{msg_id}"): ADMIN,
}
OF_AGENTS: Final = {
    "/login", "/renew", "/rows", "/agents/{person}/password", "/audit", "/withdrawn/{msg_id}",
    "/people", "/people/{person_id}/conversations", "/export.csv", "/doctor", "/trace/{msg_id}",
}  # fmt: skip
# After these one is logged out, or others are.
ENDING: Final = {"/logout", "/logins/{login_id}", "/agents/{person}/password"}
# Where it makes no difference which conversation one has in mind.
ABOUT_NOTHING: Final = {
    "/boot", "/conversations", "/attachments", "/me", "/logout", "/login", "/renew", "/logins",
    "/export.csv", "/doctor", "/people", *(ask.command for ask in ASKS if ask.about == "the desk"),
}  # fmt: skip

# Outside /api/<realm> nothing depends on a login.
OPEN_TO_ALL: Final = {
    ("GET", "/"), ("GET", "/workbench"), ("GET", "/workbench/{_rest:path}"), ("GET", "/h5"),
    ("GET", "/h5/{_rest:path}"), ("GET", "/login/employee"), ("GET", "/login/employee/return"),
    ("GET", "/login/agent"), ("GET", "/login/agent/return"),
    ("GET", "/health/live"), ("GET", "/health/ready"),
}  # fmt: skip

# Every kind of stream, with the line that decides about it.
STREAMS: Mapping[str, str] = {
    "conv:{conv}": SEE,
    "conv:{conv}:staff": STAFF,
    "queue:{group}": "agents of the group",
    "agent:{assignee}": "that agent",
    "employee:{requester}": "that employee",
    "desk": EVERY_AGENT,
    "conv:nowhere": NOBODY,
    "nonsense:{conv}": NOBODY,
}

# Every operation of the socket that goes up, with what decides about it.
OPERATIONS: Mapping[str, str] = {
    "identify": "streams",
    "watch": "streams",
    "unwatch": "what one watches",
    "ack": "what one watches",
    "mark": "what one watches",
    "typing": "what one watches",
    "viewing": "what one watches",
    "visibility": "oneself",
    "pong": "oneself",
    "probe": "oneself",
}


def standings(who: Identity, thing: Thing) -> str:
    """The columns in which somebody stands to a thing; empty for a stranger."""
    if who.realm == "employee":
        return {thing.requester: "R", thing.invited: "I"}.get(who.person or "", "")
    found = "P" if who.person in {thing.assignee, thing.participant} else ""
    if who.role == "admin":
        return found + "GS"
    if thing.group in who.groups:
        return found + ("GS" if who.role == "supervisor" else "G")
    return found


def sees(who: Identity, thing: Thing, line: str = SEE) -> bool:
    """Whether any of one's cells in the line is a yes."""
    cells = {ROWS[line][COLUMNS.index(each)] for each in standings(who, thing)}
    return bool(cells - {"–"})


def watches(who: Identity, stream: str, thing: Thing) -> bool:
    """Whether somebody may watch a kind of stream of the thing."""
    match STREAMS[stream]:
        case "agents of the group":
            return who.realm == "agent" and (thing.group in who.groups or who.role == "admin")
        case "that agent":
            return who.realm == "agent" and who.person == thing.assignee
        case "that employee":
            return who.realm == "employee" and who.person == thing.requester
        case "every agent":
            return who.realm == "agent"
        case line if line in ROWS:
            return sees(who, thing, line)
        case _:
            return False


def is_of_realm(command: str, realm: str) -> bool:
    """Whether a login of this realm may name the command at all."""
    return command in BOTH or (command in EMPLOYEES) is (realm == "employee")


def answer(who: Identity, ask: Ask, thing: Thing) -> str | None:
    """The refusal's code that somebody is to get, or none for success."""
    if who.cookie != "good":
        return "login_required"
    if ask.command in BY_THE_DESK:
        return "invalid"
    if not is_of_realm(ask.command, who.realm):
        return "not_allowed"
    if ask.line in ROWS or ask.line in {LAST_AGENT, AUTHOR}:
        return _of_conversation(who, ask, thing)
    if ask.line == EVERY_EMPLOYEE and _has_one_there(who, thing):
        return "already_open"
    return ask.yes if _has_duty(who, ask.line, thing) else "not_allowed"


def owner(who: Identity, thing: Thing) -> str:
    """Whose login or password of the realm is meant where a thing is."""
    return thing.requester if who.realm == "employee" else thing.assignee


def route(who: Identity, line: str, thing: Thing) -> str | None:
    """As `answer`, for a route that is about one thing."""
    is_admin, is_own = who.role == "admin", who.person == owner(who, thing)
    match line:
        case "its owner, or an admin":
            return None if is_own or is_admin else "not_found"
        case "its owner, or an admin's":
            # One's own needs the present one as well, which is not given here.
            return "invalid" if is_own else None if is_admin else "not_allowed"
        case "every supervisor":
            return None if who.role in {"supervisor", "admin"} else "not_allowed"
        case _ if line == ADMINS:
            return None if is_admin else "not_allowed"
        case _ if line == ADMIN:
            return None if is_admin else "not_allowed" if sees(who, thing) else "not_found"
        case _ if line in ROWS:
            return None if sees(who, thing, line) else "not_found"
        case _:
            return "login_required" if line == ANYBODY else None


def _has_one_there(who: Identity, thing: Thing) -> bool:
    """Whether somebody's own conversation is open in the group where one more is asked for."""
    there = [each for each in THINGS.values() if each.group == thing.foreign_group]
    return who.person in {each.requester for each in there}


def _has_duty(who: Identity, line: str, thing: Thing) -> bool:
    if line in {EVERY_AGENT, EVERY_EMPLOYEE}:
        return True  # the realm has been asked
    leads = who.role == "admin" or (who.role == "supervisor" and thing.group in who.groups)
    if line == SHARED_OR_SELF:
        return leads or who.person == thing.assignee
    return leads if line == SHARED_GROUP else who.role == "admin"


def _of_conversation(who: Identity, ask: Ask, thing: Thing) -> str | None:
    mine = standings(who, thing)
    if not mine:
        return "not_found"
    if ask.line in {LAST_AGENT, AUTHOR}:
        # On each stage the last agent was the assignee, and what is recalled is the assignee's.
        return None if who.person == thing.assignee else "not_allowed"
    said = [_cell(who, ask, thing, ROWS[ask.line][COLUMNS.index(each)]) for each in mine]
    if said == ["not_allowed"] * len(said):
        return "not_allowed"
    if ask.word == "offer":
        return None if who.person == thing.participant else ask.yes
    if who.person is not None and who.person in ask.others:
        return ask.others[who.person]
    return next((each for each in said if each is None), None) or ask.yes or _first_no(said)


def _first_no(said: list[str | None]) -> str | None:
    if None in said:
        return None
    return next(each for each in said if each != "not_allowed")


def _cell(who: Identity, ask: Ask, thing: Thing, cell: str) -> str | None:
    """What one cell says: none for yes, else the code of its no."""
    match cell:
        case "✓" if ask.word == "leave":
            return "not_allowed"  # where one is not, one does not leave
        case "✓" | "until closed" | "active, on_hold, resolved":
            return None
        case "after join":
            return "join_first"
        case "if assignee absent":
            return None if ask.word == "absent" else "not_allowed"
        case "leave":
            return None if ask.word == "leave" else "not_allowed"
        case "assignee; last agent resolves; leave":
            is_theirs = ask.word == "leave" or who.person == thing.assignee
            return None if is_theirs else "not_allowed"
        case _:
            return "not_allowed"
