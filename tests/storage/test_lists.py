"""Views and filters of lists: each within what its principal may see."""

from __future__ import annotations

import pytest

from deskwire.desk.people import Principal
from deskwire.storage.lists import NO_FILTERS, Filters
from tests.flows.office import ANN, BO, CHEN, LINA, MEI, QIAN, WANG, Office, agent, employee

ROOT = agent("root")


async def listed(
    office: Office, who: Principal, view: str, filters: Filters = NO_FILTERS
) -> set[str]:
    page = await office.views.rows(who, view=view, filters=filters, after=None, limit=100)
    assert page is not None
    return {row["conv_id"] for row in page["rows"]}


async def words(office: Office, who: Principal, q: str) -> set[str]:
    return await listed(office, who, "any", Filters(q=q))


async def test_what_is_looked_for_is_found_where_one_may_see_it(office: Office) -> None:
    support = await office.opened(ANN, "无线网络断了")
    facilities = await office.opened(BO, "无线打印坏了", category_id="printer")

    found = {who: await words(office, who, "无线") for who in (WANG, LINA, QIAN, ROOT, ANN, BO)}

    assert found == {
        WANG: {support},
        LINA: {support},
        QIAN: {facilities},
        ROOT: {support, facilities},
        ANN: {support},
        BO: {facilities},
    }


async def test_an_employee_finds_nothing_of_others(office: Office) -> None:
    conv = await office.claimed(ANN)
    await office.post(WANG, conv, "共同的词")
    number = office.one("SELECT no FROM conversation")

    for who in (BO, MEI, employee("cy")):
        for q in ("共同", number, "Ann", "连不上", "%", "_", ""):
            assert await words(office, who, q) == set(), (who, q)


async def test_an_employee_finds_no_note_in_their_own(office: Office) -> None:
    conv = await office.claimed(ANN)
    await office.note(WANG, conv, "金丝雀")

    assert await words(office, ANN, "金丝雀") == set()
    assert await words(office, LINA, "金丝雀") == set()


async def test_a_number_and_a_requesters_name_are_found_by_a_part(office: Office) -> None:
    anns, bos = await office.opened(ANN, "x"), await office.opened(BO, "y")
    number = office.one("SELECT no FROM conversation WHERE conv_id = ?", bos)

    assert await words(office, LINA, number) == {bos}
    assert await words(office, LINA, number.lower()) == {bos}
    assert await words(office, LINA, number[-4:]) == {bos}
    assert await words(office, LINA, "aN") == {anns}


@pytest.mark.parametrize("q", ["%", "_", "\0", "%\0", "\\", "0_0", "IT%"])
async def test_a_sign_that_stands_for_others_in_a_pattern_is_itself(office: Office, q: str) -> None:
    await office.opened(ANN, "连不上")

    assert await words(office, LINA, q) == set()


async def test_filters_narrow_together(office: Office) -> None:
    network = await office.claimed(ANN, by=WANG)
    account = await office.opened(BO, "密码", category_id="account")
    printer = await office.opened(ANN, "卡纸", category_id="printer")

    assert await listed(office, ROOT, "all", Filters(group="support")) == {network, account}
    assert await listed(office, ROOT, "all", Filters(group="facilities")) == {printer}
    assert await listed(office, ROOT, "all", Filters(category="account")) == {account}
    assert await listed(office, ROOT, "all", Filters(agent="wang")) == {network}
    assert await listed(office, ROOT, "all", Filters(agent="wang", category="account")) == set()
    assert await listed(office, ROOT, "queue", Filters(group="support", q="密码")) == {account}
    assert await listed(office, WANG, "all", Filters(group="facilities")) == set()


async def test_what_is_closed_is_in_its_own_view_and_in_any(office: Office) -> None:
    closed = await office.opened(ANN)
    await office.yes(ANN, "cancel_conversation", closed)
    unclosed = await office.opened(ANN)

    assert await listed(office, LINA, "all") == {unclosed}
    assert await listed(office, LINA, "closed") == {closed}
    assert await listed(office, LINA, "any") == {closed, unclosed}


async def test_unread_is_what_others_wrote_where_one_takes_part(office: Office) -> None:
    conv = await office.claimed(ANN, by=WANG)
    other = await office.claimed(BO, by=CHEN)
    head = office.head(f"conv:{conv}")
    row = "INSERT INTO mark VALUES (?, 'agent', 'wang', ?, ?, 0)"

    assert await listed(office, WANG, "unread") == {conv}
    assert await listed(office, CHEN, "unread") == {other}
    office.write(row, f"conv:{conv}", head, head)
    assert await listed(office, WANG, "unread") == set()
    await office.post(WANG, conv)
    assert await listed(office, WANG, "unread") == set()
    await office.post(ANN, conv)
    assert await listed(office, WANG, "unread") == {conv}
    await office.note(CHEN, other)
    assert await listed(office, LINA, "unread") == set()


async def test_on_hold_is_a_view_of_its_own(office: Office) -> None:
    held = await office.claimed(ANN)
    await office.opened(BO)
    office.write(
        "UPDATE conversation SET status = 'on_hold', assignee_id = NULL WHERE conv_id = ?", held
    )

    assert await listed(office, WANG, "on_hold") == {held}
    assert await listed(office, QIAN, "on_hold") == set()


async def test_a_search_is_read_page_by_page(office: Office) -> None:
    convs = set()
    for _ in range(5):
        conv = await office.opened(ANN, "同一个词")
        await office.yes(ANN, "cancel_conversation", conv)
        convs.add(conv)
    await office.opened(BO, "别的")
    pages, after = [], None
    while True:
        page = await office.views.rows(
            LINA, view="any", filters=Filters(q="同一个"), after=after, limit=2
        )
        assert page is not None
        pages.append([row["conv_id"] for row in page["rows"]])
        after = page["next"]
        if after is None:
            break

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {conv for page in pages for conv in page} == convs


async def test_mentioned_is_where_a_standing_note_names_one(office: Office) -> None:
    conv, other = await office.claimed(ANN), await office.claimed(BO)
    note = {"body": "看一下", "mentions": ("chen",)}
    first = await office.yes(WANG, "post_note", conv, **note)
    await office.yes(WANG, "post_note", other, body="chen", mentions=("mei",))
    mentioned = [await listed(office, who, "mentioned") for who in (CHEN, agent("mei"), WANG, QIAN)]
    await office.yes(WANG, "resolve_conversation", conv)
    await office.yes(ANN, "confirm_solved", conv)
    closed = await listed(office, CHEN, "mentioned")
    gone = {"msg_id": first.result["msg_id"], "reason": "x"}
    await office.yes(LINA, "redact_message", conv, **gone)

    assert mentioned == [{conv}, {other}, set(), set()]
    assert closed == {conv}
    assert await listed(office, CHEN, "mentioned") == set()


async def test_a_tag_narrows_for_agents_and_tells_an_employee_nothing(office: Office) -> None:
    conv = await office.claimed(ANN)
    await office.claimed(BO)
    office.write("INSERT INTO tag VALUES ('vip', 'VIP', '#ff0000', ?, 0)", False)
    await office.yes(WANG, "set_tags", conv, tags=("vip",), version=0)

    found = [await listed(office, who, "all", Filters(tag="vip")) for who in (LINA, ANN)]

    assert found == [{conv}, set()]


async def test_an_invited_employee_finds_it_but_not_by_words_they_may_not_see(
    office: Office,
) -> None:
    conv = await office.claimed(ANN)
    await office.yes(WANG, "invite_participant", conv, realm="employee", person="bo")
    invited = [await listed(office, BO, "all"), await words(office, BO, "连不上")]
    await office.yes(BO, "leave_conversation", conv)

    assert invited == [{conv}, set()]
    assert await words(office, ANN, "连不上") == {conv}
    assert await listed(office, BO, "all") == set()
