"""Rows of uploads, on both databases: staged, bound once, withdrawn, destroyed."""

from __future__ import annotations

from typing import Any

import pytest

from deskwire.desk.decision import Binding
from deskwire.desk.events import Stream
from deskwire.desk.messages import Attachment, AttachmentKind
from deskwire.desk.people import Principal
from deskwire.storage import attachments
from deskwire.storage.engine import StoreBusy
from tests.flows.office import ANN, BO, START, WANG, Office
from tests.kit.databases import NotWritten


def upload(name: str, /, owner: Principal = ANN, **more: Any) -> Attachment:
    facts: dict[str, Any] = {
        "kind": AttachmentKind.FILE,
        "name": f"{name}.pdf",
        "bytes": 7,
        "type": "application/octet-stream",
        "sha256": "0" * 64,
    }
    return Attachment(id=name, owner=owner, **facts | more)


async def stage(office: Office, *uploads: Attachment, at: int = START) -> None:
    async with office.store.writing() as conn:
        for each in uploads:
            await attachments.stage(conn, each, at)


async def bind(office: Office, conv: str, *names: str, is_note: bool = False) -> str:
    """To the newest message of the conversation."""
    stream = Stream(f"conv:{conv}:staff" if is_note else f"conv:{conv}")
    msg_id = office.sql(
        "SELECT msg_id FROM message WHERE stream_id = ? ORDER BY position DESC", stream
    )[0][0]
    async with office.store.writing() as conn:
        bindings = [Binding(attachment_id=name, msg_id=msg_id, stream=stream) for name in names]
        await attachments.bind(conn, bindings)
    return str(msg_id)


async def loaded(office: Office, *names: str) -> tuple[Attachment, ...]:
    async with office.store.reading() as conn:
        return await attachments.load(conn, names)


async def test_what_is_staged_is_loaded_as_it_was(office: Office) -> None:
    image = upload("b", kind=AttachmentKind.IMAGE, type="image/png", width=3, height=2)
    file = upload("a", BO, name="网络 😀.log", bytes=2**40)
    await stage(office, image, file)

    assert await loaded(office, "a", "b", "nowhere") == (file, image)
    async with office.store.reading() as conn:
        held = await attachments.find(conn, "a")
        missing = await attachments.find(conn, "nowhere\0")
    assert held == attachments.Held(attachment=file, place=None)
    assert missing is None


async def test_a_bound_one_stands_where_its_message_does(office: Office) -> None:
    conv = await office.claimed(ANN)
    await office.note(WANG, conv)
    await stage(office, upload("a"), upload("b"), upload("n", WANG))

    await bind(office, conv, "a", "b")
    await bind(office, conv, "n", is_note=True)

    async with office.store.reading() as conn:
        public, note = await attachments.find(conn, "a"), await attachments.find(conn, "n")
        standing = await attachments.standing(conn)
    assert public is not None
    assert note is not None
    staff = f"conv:{conv}:staff"
    assert (public.place, note.place) == ((f"conv:{conv}", 2), (staff, office.head(staff)))
    assert (public.attachment.conv, note.attachment.conv) == (conv, conv)
    assert standing == ["a", "b", "n"]


async def test_an_upload_is_bound_once_and_not_in_part(office: Office) -> None:
    conv = await office.claimed(ANN)
    await stage(office, upload("a"), upload("b"), upload("gone"))
    await bind(office, conv, "a")
    async with office.store.writing() as conn:
        await attachments.expire(conn, staged_before=START, now=START)
        await attachments.withdraw(conn, ["gone"], at=START, destroy_at=None)

    for names in (("a",), ("b", "a"), ("b", "gone"), ("b", "nowhere"), ("b", "b")):
        with pytest.raises(StoreBusy):
            await bind(office, conv, *names)

    assert office.one("SELECT count(*) FROM attachment WHERE conv_id IS NOT NULL") == 1


async def test_what_was_uploaded_lately_is_counted_for_each_principal(office: Office) -> None:
    conv = await office.claimed(ANN)
    for n in range(4):
        await stage(office, upload(f"a{n}", bytes=10**n), at=START + n)
    await stage(office, upload("b", BO), at=START)
    await bind(office, conv, "a3")
    async with office.store.writing() as conn:
        await attachments.withdraw(conn, ["a2"], at=START, destroy_at=START)

    async with office.store.reading() as conn:
        anns = await attachments.uploads_of(conn, ANN, 3)
        nobodys = await attachments.uploads_of(conn, WANG, 3)

    assert anns == attachments.Uploads(times=(START + 1, START + 2, START + 3), staged_bytes=1 + 10)
    assert nobodys == attachments.Uploads(times=(), staged_bytes=0)


async def test_what_is_withdrawn_is_loaded_no_more_and_destroyed_in_its_time(
    office: Office,
) -> None:
    conv = await office.claimed(ANN)
    await stage(office, upload("recalled"), upload("redacted"), upload("both"), upload("stands"))
    await bind(office, conv, "recalled", "redacted", "both", "stands")
    async with office.store.writing() as conn:
        await attachments.withdraw(conn, ["recalled", "both"], at=START, destroy_at=START + 10)
        await attachments.withdraw(conn, ["redacted", "both"], at=START + 5, destroy_at=START + 5)
        await attachments.withdraw(conn, ["redacted"], at=START + 6, destroy_at=START + 99)

    async def due(now: int) -> set[str]:
        async with office.store.reading() as conn:
            return set(await attachments.to_destroy(conn, now))

    assert [each.id for each in await loaded(office, "recalled", "redacted", "both", "stands")] == [
        "stands"
    ]
    assert await due(START + 4) == set()
    assert await due(START + 5) == {"redacted", "both"}
    assert await due(START + 10) == {"redacted", "both", "recalled"}
    withdrawn = dict(office.sql("SELECT attachment_id, withdrawn_at FROM attachment"))
    assert withdrawn == {
        "recalled": START, "both": START, "redacted": START + 5, "stands": None
    }  # fmt: skip
    async with office.store.writing() as conn:
        await attachments.remove(conn, ["redacted"])
    assert await due(START + 5) == {"both"}


async def test_what_nobody_named_in_time_is_taken_back(office: Office) -> None:
    conv = await office.claimed(ANN)
    await stage(office, upload("bound"), upload("old"), at=START)
    await stage(office, upload("young"), at=START + 1)
    await bind(office, conv, "bound")

    async with office.store.writing() as conn:
        await attachments.expire(conn, staged_before=START + 1, now=START + 7)

    async with office.store.reading() as conn:
        assert await attachments.to_destroy(conn, START + 7) == ["old"]
    assert [each.id for each in await loaded(office, "bound", "old", "young")] == ["bound", "young"]


FORBIDDEN = {
    "bound to a conversation without a message": "UPDATE attachment SET conv_id = '{conv}'",
    "bound to a message without a stream": (
        "UPDATE attachment SET conv_id = '{conv}', msg_id = 'm', stream_id = NULL"
    ),
    "destroyed and not withdrawn": "UPDATE attachment SET destroy_at = 1",
    "of nobody": "UPDATE attachment SET person = 'nobody'",
    "of a conversation that is not": (
        "UPDATE attachment SET conv_id = 'x', msg_id = 'm', stream_id = 'conv:x'"
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_the_database_refuses_what_no_path_would_write(office: Office, what: str) -> None:
    conv = await office.opened(ANN)
    await stage(office, upload("a"))

    with pytest.raises(NotWritten):
        office.write(FORBIDDEN[what].format(conv=conv))
