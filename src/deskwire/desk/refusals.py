"""Every "no" with its code and whether trying again makes sense.

A refusal is a value, never an exception.
The HTTP status of a code stands in `web/errors.py`; this table has none, for it knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Retry(StrEnum):
    """May the client try again, and how?"""

    NO = "no"
    AFTER_LOGIN = "after_login"
    DECIDE_ANEW = "decide_anew"
    AFTER_CORRECTION = "after_correction"
    SAME_ID = "same_id"


class Code(StrEnum):
    """What was wrong. Public: clients branch on it."""

    BAD_REQUEST = "bad_request"
    LOGIN_REQUIRED = "login_required"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    ALREADY_TAKEN = "already_taken"
    ALREADY_OPEN = "already_open"
    WRONG_STATE = "wrong_state"
    CLOSED = "closed"
    CLAIM_FIRST = "claim_first"
    JOIN_FIRST = "join_first"
    OWN_CONVERSATION = "own_conversation"
    AT_CAPACITY = "at_capacity"
    OFFER_OVER = "offer_over"
    NOT_ASSIGNABLE = "not_assignable"
    STALE_VIEW = "stale_view"
    VERSION_CHANGED = "version_changed"
    RECALL_WINDOW_OVER = "recall_window_over"
    ALREADY_RATED = "already_rated"
    COMMAND_ID_REUSED = "command_id_reused"
    TOO_LARGE = "too_large"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    INVALID = "invalid"
    NOTE_REQUIRED = "note_required"
    CATEGORY_REQUIRED = "category_required"
    TOO_MANY = "too_many"
    QUEUE_FULL = "queue_full"
    TRY_LATER = "try_later"


@dataclass(frozen=True, slots=True)
class Meaning:
    """A line of the table: whether to try again, a sentence for a log or a developer.

    `detail` names the keys that a refusal's detail always has.
    """

    retry: Retry
    message: str
    detail: tuple[str, ...] = ()


MEANINGS: Mapping[Code, Meaning] = {
    Code.BAD_REQUEST: Meaning(Retry.NO, "The request is malformed."),
    Code.LOGIN_REQUIRED: Meaning(Retry.AFTER_LOGIN, "Log in first."),
    Code.NOT_ALLOWED: Meaning(Retry.NO, "You may see this, but not do this."),
    Code.NOT_FOUND: Meaning(Retry.NO, "There is no such thing, or you may not see it."),
    Code.ALREADY_TAKEN: Meaning(Retry.DECIDE_ANEW, "A colleague has taken it.", ("by",)),
    Code.ALREADY_OPEN: Meaning(
        Retry.DECIDE_ANEW, "You have an open conversation with this group.", ("conv_id",)
    ),
    Code.WRONG_STATE: Meaning(
        Retry.DECIDE_ANEW, "The conversation's status does not allow this.", ("status",)
    ),
    Code.CLOSED: Meaning(Retry.DECIDE_ANEW, "The conversation is closed."),
    Code.CLAIM_FIRST: Meaning(Retry.DECIDE_ANEW, "Claim the conversation before answering."),
    Code.JOIN_FIRST: Meaning(Retry.DECIDE_ANEW, "Join the conversation before answering."),
    Code.OWN_CONVERSATION: Meaning(Retry.DECIDE_ANEW, "Nobody is agent of their own conversation."),
    Code.AT_CAPACITY: Meaning(
        Retry.DECIDE_ANEW, "You have as many active conversations as you may."
    ),
    Code.OFFER_OVER: Meaning(Retry.DECIDE_ANEW, "The offer has ended."),
    Code.NOT_ASSIGNABLE: Meaning(
        Retry.DECIDE_ANEW, "This agent cannot be given it now.", ("reason",)
    ),
    Code.STALE_VIEW: Meaning(
        Retry.DECIDE_ANEW, "A colleague has answered what you have not seen.", ("messages",)
    ),
    Code.VERSION_CHANGED: Meaning(
        Retry.DECIDE_ANEW, "It has been changed since you looked.", ("version",)
    ),
    Code.RECALL_WINDOW_OVER: Meaning(Retry.DECIDE_ANEW, "The time to recall this is over."),
    Code.ALREADY_RATED: Meaning(Retry.DECIDE_ANEW, "This resolution has been rated."),
    Code.COMMAND_ID_REUSED: Meaning(
        Retry.DECIDE_ANEW, "This command id was used with other content."
    ),
    Code.TOO_LARGE: Meaning(Retry.AFTER_CORRECTION, "This is larger than allowed.", ("max",)),
    Code.TYPE_NOT_ALLOWED: Meaning(Retry.AFTER_CORRECTION, "This type of content is not accepted."),
    Code.INVALID: Meaning(
        Retry.AFTER_CORRECTION, "A field is missing, unknown or out of bounds.", ("field",)
    ),
    Code.NOTE_REQUIRED: Meaning(Retry.AFTER_CORRECTION, "This needs a note or a reason."),
    Code.CATEGORY_REQUIRED: Meaning(
        Retry.AFTER_CORRECTION, "Give it a category of this group first."
    ),
    Code.TOO_MANY: Meaning(Retry.SAME_ID, "Too many at once.", ("retry_after_s",)),
    Code.QUEUE_FULL: Meaning(Retry.SAME_ID, "The queue is full."),
    Code.TRY_LATER: Meaning(
        Retry.SAME_ID, "The desk cannot answer at the moment.", ("retry_after_s",)
    ),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A "no". `detail` is JSON-ready and holds what the code's line in the table names."""

    code: Code
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def retry(self) -> Retry:
        return MEANINGS[self.code].retry

    @property
    def message(self) -> str:
        return MEANINGS[self.code].message


def invalid(name: str) -> Refusal:
    """The field called `name` is missing, unknown or out of bounds."""
    return Refusal(Code.INVALID, {"field": name})
