from __future__ import annotations

from typing import Any

import pytest

from deskwire.desk.commands import DropDraft, SaveDraft
from deskwire.desk.conversation import Status
from deskwire.desk.drafts import Draft, DraftDecision, decide_draft
from deskwire.desk.people import PersonId
from deskwire.desk.refusals import Refusal
from tests.desk.cast import CONV, PEOPLE, at, upload, verdict


def save(who: str = "assignee", kept: Draft | None = None, **said: Any) -> DraftDecision | Refusal:
    usual: dict[str, Any] = {"conv": CONV, "mode": "reply", "text": "正在", "rev": 0}
    found = (upload(owner=PEOPLE[who]),)
    asking = SaveDraft(**(usual | said))
    return decide_draft(PEOPLE[who], asking, at(Status.ACTIVE).sight, kept, found)


def kept(rev: int = 3) -> Draft:
    return Draft(person=PersonId("wang"), conv=CONV, mode="reply", text="旧", rev=rev)


def test_a_draft_is_kept_under_the_next_revision() -> None:
    answer = save(kept=kept(), rev=3, attachments=("a-1",))

    assert answer == DraftDecision(
        draft=Draft(
            person=PersonId("wang"),
            conv=CONV,
            mode="reply",
            text="正在",
            rev=4,
            attachments=("a-1",),
        ),
        rev=4,
    )


@pytest.mark.parametrize("rev", [0, 2, 4])
def test_an_older_page_does_not_write_over_a_newer_draft(rev: int) -> None:
    answer = save(kept=kept(), rev=rev)

    assert isinstance(answer, Refusal)
    assert (answer.code.value, answer.detail) == ("version_changed", {"version": 3})


@pytest.mark.parametrize(
    "said, says",
    [
        ({"text": "字" * 4_000}, "yes"),
        ({"text": ""}, "yes"),
        ({"text": "字" * 4_001}, "too_large"),
        ({"text": "a\0"}, "invalid"),
        ({"attachments": ("a-9",)}, "invalid"),
        ({"attachments": ("a-1",) * 10}, "invalid"),
    ],
)
def test_a_draft_has_the_bounds_of_a_message_but_may_be_empty(
    said: dict[str, Any], says: str
) -> None:
    assert verdict(save(**said)) == says


@pytest.mark.parametrize(
    "who, says",
    [
        ("assignee", "yes"),
        ("colleague", "yes"),
        ("requester", "not_allowed"),
        ("stranger", "not_found"),
        ("other_agent", "not_found"),
    ],
)
def test_drafts_are_kept_for_agents_who_see_the_conversation(who: str, says: str) -> None:
    dropped = decide_draft(
        PEOPLE[who], DropDraft(conv=CONV, mode="note"), at(Status.ACTIVE).sight, kept()
    )

    assert (verdict(save(who)), verdict(dropped)) == (says, says)


def test_dropping_leaves_none() -> None:
    dropped = decide_draft(
        PEOPLE["assignee"], DropDraft(conv=CONV, mode="reply"), at(Status.ACTIVE).sight, None
    )

    assert dropped == DraftDecision(draft=None, rev=0)
