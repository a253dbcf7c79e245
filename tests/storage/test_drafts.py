from __future__ import annotations

import asyncio

from deskwire.desk.drafts import Draft
from deskwire.desk.people import PersonId
from deskwire.flows.execute import Accepted
from deskwire.storage import drafts
from tests.flows.office import ANN, CHEN, QIAN, WANG, Office

WANGS = PersonId("wang")


async def kept(office: Office, person: PersonId = WANGS) -> list[Draft]:
    async with office.store.reading() as conn:
        return await drafts.of_agent(conn, person)


async def test_a_draft_is_kept_by_person_conversation_and_mode(office: Office) -> None:
    conv = await office.claimed()

    first = await office.yes(WANG, "save_draft", conv, mode="reply", text="正", rev=0)
    second = await office.yes(WANG, "save_draft", conv, mode="reply", text="正在", rev=1)
    office.now_ms += 1
    await office.yes(WANG, "save_draft", conv, mode="note", text="备注", rev=0)
    await office.yes(CHEN, "save_draft", conv, mode="reply", text="我来", rev=0)

    assert (first.result, second.result) == ({"rev": 1}, {"rev": 2})
    assert await kept(office) == [
        Draft(person=WANGS, conv=conv, mode="note", text="备注", rev=1),
        Draft(person=WANGS, conv=conv, mode="reply", text="正在", rev=2),
    ]
    assert [draft.text for draft in await kept(office, PersonId("chen"))] == ["我来"]


async def test_a_draft_is_no_event_and_only_its_own_stream_hears_of_it(office: Office) -> None:
    conv = await office.claimed()
    before, heads = len(office.rings), office.sql("SELECT * FROM stream ORDER BY stream_id")

    await office.yes(WANG, "save_draft", conv, mode="note", text="金丝雀", rev=0)
    await office.yes(WANG, "drop_draft", conv, mode="note")
    await office.yes(WANG, "drop_draft", conv, mode="note")

    assert (len(office.rings), office.sql("SELECT * FROM stream ORDER BY stream_id")) == (
        before,
        heads,
    )
    assert {(sign.stream, sign.type, sign.key) for sign in office.signs} == {
        ("agent:wang", "draft", f"draft:{conv}:note")
    }
    assert [sign.data for sign in office.signs] == [
        {"conv": conv, "mode": "note", "rev": rev} for rev in (1, 0, 0)
    ]
    assert await kept(office) == []


async def test_of_two_pages_that_write_at_once_one_is_told_the_others_revision(
    office: Office,
) -> None:
    conv = await office.claimed()

    for rev in (0, 1):
        answers = await asyncio.gather(
            *(
                office.do(WANG, "save_draft", conv, mode="reply", text=text, rev=rev)
                for text in ("一", "二", "三")
            )
        )
        refusals = [each for each in answers if not isinstance(each, Accepted)]
        assert [(each.code.value, each.detail) for each in refusals] == [
            ("version_changed", {"version": rev + 1})
        ] * 2


async def test_nobody_keeps_a_draft_of_what_they_do_not_see(office: Office) -> None:
    conv = await office.claimed()

    refusals = [
        await office.no(who, "save_draft", to, mode="reply", text="x", rev=0)
        for who, to in ((QIAN, conv), (WANG, "nowhere"), (ANN, conv))
    ]

    assert [each.code.value for each in refusals] == ["not_found", "not_found", "not_allowed"]
    assert office.one("SELECT count(*) FROM draft") == 0
