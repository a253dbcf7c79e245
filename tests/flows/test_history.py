from __future__ import annotations

from typing import Any

import pytest

from deskwire.desk.people import Principal
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.history import HOUR_MS, Figures, History, Original
from tests.flows.office import ANN, BO, CHEN, LINA, QIAN, START, WANG, Office, agent

ROOT, SUN = agent("root"), agent("sun")
NOT_FOUND = Refusal(Code.NOT_FOUND)


@pytest.fixture
def history(office: Office) -> History:
    return History(
        office.store, execute=office.execute, now=lambda: office.now_ms, new_id=office.new_id
    )


def inspections(office: Office) -> int:
    return int(office.one("SELECT count(*) FROM event WHERE type = 'conversation.inspected'"))


# Looking in from outside --------------------------------------------------------------------------


async def test_an_admin_from_outside_is_recorded_once_an_hour_and_nobody_else(
    office: Office, history: History
) -> None:
    conv = await office.claimed()
    for who in (ANN, BO, WANG, CHEN, LINA, QIAN):
        assert await history.opened(who, conv) is None
    before = inspections(office)

    found = []
    for later in (0, HOUR_MS // 2, HOUR_MS):
        office.now_ms = START - START % HOUR_MS + later
        assert await history.opened(ROOT, conv) is None
        found.append(inspections(office))

    assert (before, found) == (0, [1, 1, 2])


async def test_an_admin_who_takes_part_or_asks_for_nothing_is_not_recorded(
    office: Office, history: History
) -> None:
    conv = await office.claimed()
    await office.yes(ROOT, "join_conversation", conv)

    assert await history.opened(ROOT, conv) is None
    assert await history.opened(ROOT, "nowhere") is None
    assert inspections(office) == 0


# Originals ----------------------------------------------------------------------------------------


async def recalled(office: Office, by: Principal, conv: str, name: str = "post_message") -> str:
    said: dict[str, Any] = {"body": "我的密码是 hunter2"}
    if name == "post_message":
        said["kind"] = "text"
    posted = await office.yes(by, name, conv, **said)
    msg_id = str(posted.result["msg_id"])
    await office.yes(by, "recall_message", conv, msg_id=msg_id)
    return msg_id


async def test_a_recalled_text_is_shown_to_an_admin_and_each_look_is_recorded(
    office: Office, history: History
) -> None:
    conv = await office.claimed()
    texts = [await recalled(office, ANN, conv), await recalled(office, WANG, conv, "post_note")]

    found = [await history.original(ROOT, msg_id) for msg_id in (*texts, texts[0])]

    assert (
        found[0]
        == found[2]
        == Original(
            msg_id=texts[0],
            conv_id=conv,
            author=ANN,
            is_note=False,
            posted_at=START,
            recalled_at=START,
            body="我的密码是 hunter2",
            attachments=(),
        )
    )
    assert isinstance(found[1], Original)
    assert (found[1].is_note, found[1].author) == (True, WANG)
    assert inspections(office) == 3


async def test_nobody_else_is_shown_what_was_recalled(office: Office, history: History) -> None:
    conv = await office.claimed()
    msg_id = await recalled(office, ANN, conv)

    found = {who.person: await history.original(who, msg_id) for who in (WANG, LINA, ANN, QIAN, BO)}

    not_allowed = Refusal(Code.NOT_ALLOWED)
    assert found == {
        "wang": not_allowed,
        "lina": not_allowed,
        "ann": not_allowed,
        "qian": NOT_FOUND,
        "bo": NOT_FOUND,
    }
    assert inspections(office) == 0


async def test_of_what_stands_or_was_redacted_there_is_no_original(
    office: Office, history: History
) -> None:
    conv = await office.claimed()
    standing = str((await office.post(ANN, conv)).result["msg_id"])
    redacted = await recalled(office, ANN, conv)
    await office.yes(LINA, "redact_message", conv, msg_id=redacted, reason="password")

    found = [await history.original(ROOT, msg_id) for msg_id in (standing, redacted, "nothing")]

    assert found == [NOT_FOUND] * 3
    assert inspections(office) == 0


# Steps --------------------------------------------------------------------------------------------


async def test_the_steps_say_what_became_of_it_by_whom_and_why(
    office: Office, history: History
) -> None:
    conv = await office.claimed()
    await office.note(WANG, conv, "金丝雀")
    await office.post(WANG, conv, "金丝雀")
    until = START + HOUR_MS
    await office.yes(WANG, "hold_conversation", conv, until=until, reason="等备件")
    await office.post(ANN, conv, "金丝雀")

    found = await history.steps(ROOT, conv, after=0, limit=100)
    first = await history.steps(WANG, conv, after=0, limit=1)

    assert isinstance(found, dict)
    assert isinstance(first, dict)
    told = [(each["type"], each["command"], each["note"]) for each in found["steps"]]
    assert ("conversation.assigned", "claim_conversation", None) in told
    assert ("conversation.held", "hold_conversation", "等备件") in told
    assert told[-1] == ("conversation.inspected", "record_inspection", None)
    assert found["steps"][-1]["by"]["id"] == "root"
    assert "金丝雀" not in str(found)
    assert (first["steps"], first["next"]) == (found["steps"][:1], found["steps"][0]["position"])


async def test_the_steps_are_for_staff_alone(office: Office, history: History) -> None:
    conv = await office.claimed()

    found = [await history.steps(who, conv, after=0, limit=9) for who in (ANN, BO, QIAN)]

    assert found == [Refusal(Code.NOT_ALLOWED), NOT_FOUND, NOT_FOUND]


# Figures ------------------------------------------------------------------------------------------


async def figures(history: History, who: Principal, start: int, end: int) -> list[Figures]:
    pages = await history.figures(who, start, end)
    assert not isinstance(pages, Refusal)
    return [each async for page in pages for each in page]


async def test_a_supervisor_gets_the_figures_of_their_groups_and_an_admin_of_all(
    office: Office, history: History
) -> None:
    await office.opened(BO, category_id="printer")
    conv = await office.claimed()
    await office.note(WANG, conv)
    office.now_ms += 60_000
    await office.post(WANG, conv)
    await office.yes(WANG, "resolve_conversation", conv)
    await office.yes(ANN, "rate_conversation", conv, score=4, reasons=["响应快"], comment="好")

    mine = await figures(history, LINA, START, START + 1)
    others = await figures(history, SUN, START, START + 1)
    all_ = await figures(history, ROOT, START, START + 1)
    none = await figures(history, ROOT, START - 1, START)

    assert [each.conv_id for each in mine] == [conv]
    assert [each.category for each in others] == ["printer 中文"]
    assert [each.no for each in all_] == [*(each.no for each in others), mine[0].no]
    assert none == []
    (line,) = mine
    assert (line.group, line.last_agent, line.status, line.closed_how) == (
        "IT 支持",
        "Wang",
        "closed",
        "rated",
    )
    assert (line.opened_at, line.first_assigned_at, line.first_answered_at) == (
        START,
        START,
        START + 60_000,
    )
    assert (line.messages_employee, line.messages_agent, line.notes, line.rating) == (1, 1, 1, 4)
    assert line.assigned_by == ("claim_conversation",)
    assert "好" not in str(line)


@pytest.mark.parametrize("who", [WANG, ANN])
async def test_whoever_supervises_nothing_gets_no_figures(history: History, who: Principal) -> None:
    assert await history.figures(who, START, START + 1) == Refusal(Code.NOT_ALLOWED)
