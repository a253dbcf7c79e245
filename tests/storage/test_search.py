"""On both databases: what is found, and what never is."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sql

from deskwire.storage import search
from tests.flows.office import ANN, BO, LINA, WANG, Office

SENTENCE = "今天早上打印机又卡纸了，VPN客户端也Connect不上😭"
FOUND = [
    "打印机", "卡纸", "早上打印", "了", "今", "上", "又卡", "vpn", "VPN", "ｖｐｎ", "vp", "conn",
    "Connect不", "vpn客户端也connect不上", "打印机 VPN", "vpn 打印机", "纸了，VPN", "纸了 vpn",
    "connect不上😭", "😭卡纸",
]  # fmt: skip
NOT_FOUND = [
    "印打", "打印卡", "机打", "pn", "connect上", "打印机 网络", "上机", "😭", "", " ", "*", "\"",
    "客户 端口",
]  # fmt: skip
SYNTAX = [
    "'", '"', "\\", "*", "(", ")", ":", "a:b", "terms:打印", "NOT", "a OR b", "NEAR(a b)", "a & b",
    "a | !b", "<->", "a <-> b", "^打印", "-打印", "'; DROP TABLE searchable; --", "%", "_", "\0",
    "打印\0机", "a\0", "{a b}", "$1", ":asked", "?", "&", "''", "a'':*", "\u202e", "\ud7ff", "👍🏽",
]  # fmt: skip


async def found(office: Office, asked: str) -> list[str]:
    async with office.store.reading() as conn:
        rows = await conn.execute(search.conversations_with(conn, asked))
        return [row[0] for row in rows]


@pytest.mark.parametrize("chunk", range(2))
async def test_a_word_inside_a_sentence_finds_the_message(office: Office, chunk: int) -> None:
    conv = await office.opened(ANN, SENTENCE)
    await office.opened(BO, "别的事")

    missed = [asked for asked in FOUND[chunk::2] if await found(office, asked) != [conv]]

    assert missed == []


async def test_what_stands_in_no_row_is_not_found(office: Office) -> None:
    await office.opened(ANN, SENTENCE)

    assert [asked for asked in NOT_FOUND if await found(office, asked)] == []


async def test_syntax_is_looked_for_as_text(office: Office) -> None:
    conv = await office.opened(ANN, " ".join(SYNTAX).replace("\0", ""))
    before = office.counts()

    for asked in SYNTAX:
        assert await found(office, asked) in ([], [conv]), asked
    assert await found(office, "or not near drop") == [conv]
    assert office.counts() == before


async def test_all_the_words_must_stand_in_one_message(office: Office) -> None:
    conv = await office.claimed(ANN)
    await office.post(WANG, conv, "请重启打印机")
    await office.post(ANN, conv, "重启了，网络好了")

    assert await found(office, "重启 打印机") == [conv]
    assert await found(office, "打印机 网络") == []


async def test_a_note_is_never_found(office: Office) -> None:
    conv = await office.claimed(ANN)
    await office.note(WANG, conv, "金丝雀 canary")

    assert await found(office, "金丝雀") == []
    assert await found(office, "canary") == []


async def test_what_is_forgotten_is_not_found(office: Office) -> None:
    conv = await office.opened(ANN, "密码是 hunter2")
    kept = await office.opened(BO, "密码忘了")
    msg_id = office.one("SELECT msg_id FROM message WHERE conv_id = ?", conv)

    for _ in range(2):
        async with office.store.writing() as conn:
            await search.forget(conn, msg_id)

    assert await found(office, "hunter2") == []
    assert await found(office, "密码") == [kept]
    assert office.one("SELECT count(*) FROM searchable") == 1


async def test_what_is_recalled_or_redacted_is_not_found(office: Office) -> None:
    conv = await office.claimed(ANN)
    for body, who, name, more in (
        ("误发的密码", ANN, "recall_message", {}),
        ("贴出的密码", LINA, "redact_message", {"reason": "密码"}),
    ):
        posted = await office.post(ANN, conv, body)
        before = await found(office, body)
        await office.yes(who, name, conv, msg_id=posted.result["msg_id"], **more)

        assert (before, await found(office, body)) == ([conv], [])


async def test_a_message_that_was_not_committed_is_not_found(office: Office) -> None:
    conv = await office.opened(ANN, "第一条")
    msg_id = office.one("SELECT msg_id FROM message")
    with contextlib.suppress(LookupError):
        async with office.store.writing() as conn:
            await search.forget(conn, msg_id)
            await search.remember(conn, msg_id=msg_id, conv_id=conv, body="第二条")
            raise LookupError

    assert await found(office, "第一") == [conv]
    assert await found(office, "第二") == []


async def test_the_longest_texts_are_taken(office: Office) -> None:
    bodies = ["长" * 4_000, "x" * 4_000, "a " * 2_000, "\ufdfa" * 4_000, "网络" * 2_000]
    conv = await office.claimed(ANN)
    for body in bodies:
        await office.post(WANG, conv, body)

    assert await found(office, "长" * 100) == [conv]
    assert await found(office, "x" * 100) == [conv]
    assert await found(office, "络网络网") == [conv]


async def test_the_index_holds_what_the_table_holds(office: Office) -> None:
    for who in (ANN, BO):
        await office.opened(who, SENTENCE)
    if office.database.kind != "sqlite":
        async with office.store.reading() as conn:
            plan = await conn.execute(
                sql.text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_searchable_terms'")
            )
            assert "USING gin" in plan.scalar_one()
        return

    office.write("INSERT INTO searchable_index (searchable_index) VALUES ('integrity-check')")
    assert office.one("SELECT count(*) FROM searchable_index") == 2
