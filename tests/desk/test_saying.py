from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.messages import Withdrawal, Withdrawn
from deskwire.desk.office import DEFAULTS
from deskwire.desk.people import PersonId
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    CONV,
    MSG_ID,
    PEOPLE,
    START,
    about,
    at,
    data_of,
    decided,
    doing,
    facts,
    moment,
    posted,
    told,
    upload,
    verdict,
)


def doing_it(
    who: str, name: str, status: Status = Status.ACTIVE, now: int = START, **known: Any
) -> Decision | Refusal:
    said = known.pop("said", {})
    state = at(status)
    return decide(PEOPLE[who], state, about(state, name, **said), moment(now), facts(**known))


# Notes --------------------------------------------------------------------------------------------


def test_a_note_moves_neither_turn_nor_wait_nor_version() -> None:
    state = at(Status.ACTIVE)

    assert doing(state, "assignee", "post_note") == state


def test_a_note_is_told_to_staff_and_to_those_it_mentions() -> None:
    answer = decided(doing_it("assignee", "post_note", said={"mentions": ("zhao", "chen")}))

    assert answer.events[0].streams == (f"conv:{CONV}:staff", "agent:zhao", "agent:chen")


@pytest.mark.parametrize(
    "mentions",
    [("nobody",), ("chen", "chen"), tuple(f"agent-{n}" for n in range(21))],
    ids=["somebody unknown", "twice", "too many"],
)
def test_only_colleagues_are_mentioned_each_once(mentions: tuple[str, ...]) -> None:
    everybody = frozenset(PersonId(each) for each in mentions) - {PersonId("nobody")}

    answer = doing_it("assignee", "post_note", mentioned=everybody, said={"mentions": mentions})

    assert verdict(answer) == "invalid"


def test_a_notes_attachment_belongs_to_the_staff_stream() -> None:
    found = upload("a-1", owner=PEOPLE["assignee"])

    answer = decided(
        doing_it(
            "assignee",
            "post_note",
            attachments=(found,),
            said={"body": "", "attachments": ("a-1",)},
        )
    )

    assert [binding.stream for binding in answer.bindings] == [f"conv:{CONV}:staff"]


# Recall -------------------------------------------------------------------------------------------


def test_a_recall_tells_who_and_when_and_keeps_the_original_aside() -> None:
    mine = posted(PEOPLE["requester"], attachments=("a-1",))

    answer = decided(doing_it("requester", "recall_message", message=mine))

    assert told(answer) == ["message.recalled"]
    assert data_of(answer, ev.MessageRecalled) == ev.MessageRecalled(
        msg_id=MSG_ID, by="ann", at=START
    )
    assert answer.withdrawals == (
        Withdrawal(
            msg_id=MSG_ID,
            is_note=False,
            how=Withdrawn.RECALLED,
            keeps_original=True,
            attachments=("a-1",),
        ),
    )


def test_a_recalled_note_is_told_to_those_it_mentioned() -> None:
    note = posted(PEOPLE["assignee"], is_note=True, mentions=(PersonId("chen"),))

    answer = decided(doing_it("assignee", "recall_message", message=note))

    assert told(answer) == ["note.recalled"]
    assert answer.events[0].streams == (f"conv:{CONV}:staff", "agent:chen")


@pytest.mark.parametrize("how", Withdrawn)
def test_a_second_recall_succeeds_and_changes_nothing(how: Withdrawn) -> None:
    gone = posted(PEOPLE["requester"], withdrawn=how)

    answer = decided(doing_it("requester", "recall_message", message=gone, now=START + 10**9))

    assert (answer.events, answer.withdrawals) == ((), ())


@pytest.mark.parametrize(
    "who, message, says",
    [
        ("requester", None, "not_found"),
        ("requester", posted(PEOPLE["assignee"]), "not_allowed"),
        ("requester", posted(PEOPLE["requester"], is_note=True), "not_found"),
        ("invited", posted(PEOPLE["invited"], position=1), "not_found"),
        ("supervisor", posted(PEOPLE["assignee"]), "not_allowed"),
        ("requester_as_agent", posted(PEOPLE["requester"]), "not_allowed"),
    ],
)
def test_nobody_recalls_what_they_did_not_write_or_may_not_see(
    who: str, message: Any, says: str
) -> None:
    assert verdict(doing_it(who, "recall_message", message=message)) == says


def test_the_window_is_the_desks_setting_by_the_servers_clock() -> None:
    mine = posted(PEOPLE["requester"])
    longer = replace(DEFAULTS, recall_window_s=300)

    late = doing_it("requester", "recall_message", now=START + 120_001, message=mine)
    in_time = doing_it(
        "requester", "recall_message", now=START + 300_000, message=mine, settings=longer
    )

    assert (verdict(late), verdict(in_time)) == ("recall_window_over", "yes")


# Redaction ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_note, name", [(False, "message.redacted"), (True, "note.redacted")])
def test_a_redaction_destroys_and_says_why(is_note: bool, name: str) -> None:
    secret = posted(PEOPLE["assignee"], is_note=is_note)

    answer = decided(doing_it("supervisor", "redact_message", Status.CLOSED, message=secret))

    assert told(answer) == [name, "reason.recorded"]
    assert data_of(answer, ev.ReasonRecorded).about == answer.events[0].id
    assert data_of(answer, ev.ReasonRecorded).note == "密码"
    assert [(each.how, each.keeps_original) for each in answer.withdrawals] == [
        (Withdrawn.REDACTED, False)
    ]


def test_redacting_what_was_recalled_destroys_the_original_and_tells_readers_nothing() -> None:
    gone = posted(PEOPLE["requester"], withdrawn=Withdrawn.RECALLED)

    answer = decided(doing_it("supervisor", "redact_message", message=gone))

    assert told(answer) == ["reason.recorded"]
    assert not answer.withdrawals[0].keeps_original


def test_redacting_twice_changes_nothing() -> None:
    gone = posted(PEOPLE["requester"], withdrawn=Withdrawn.REDACTED)

    answer = decided(doing_it("supervisor", "redact_message", message=gone))

    assert (answer.events, answer.withdrawals) == ((), ())


@pytest.mark.parametrize("reason, says", [("", "note_required"), ("r" * 501, "invalid")])
def test_a_redaction_needs_a_reason(reason: str, says: str) -> None:
    answer = doing_it("supervisor", "redact_message", message=posted(), said={"reason": reason})

    assert verdict(answer) == says
