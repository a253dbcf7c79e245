"""Uploads and downloads without their door, on both databases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskwire.desk.decision import Binding
from deskwire.desk.events import Stream
from deskwire.desk.messages import (
    FILE_BYTES_MAX,
    IMAGE_BYTES_MAX,
    STAGED_MS,
    Attachment,
    AttachmentKind,
)
from deskwire.desk.people import Principal
from deskwire.desk.rates import UPLOADS
from deskwire.desk.refusals import Code, Refusal
from deskwire.desk.uploads import STAGED_BYTES_MAX
from deskwire.flows.files import AT_ONCE_MAX, READ_BYTES, Files
from deskwire.storage import attachments
from deskwire.storage.engine import Store, StoreBusy, StoreLost, Transaction
from deskwire.storage.files import LocalFiles
from tests.flows.office import ANN, BO, CHEN, LINA, QIAN, START, WANG, Office, agent, employee
from tests.kit.uploads import IMAGES, NO_IMAGES, png

EVERYBODY = (ANN, BO, WANG, CHEN, LINA, QIAN, agent("root"), agent("ann"), employee("nobody"))


class Desk:
    """The path over an office, with a folder to look into."""

    def __init__(self, office: Office, *, free_bytes_min: int = 0) -> None:
        self.office = office
        self.folder = office.database.folder / "files"
        self.local = LocalFiles(self.folder, free_bytes_min=free_bytes_min)
        self.files = Files(
            office.store, self.local, now=lambda: office.now_ms, new_id=office.new_id
        )

    def stored(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())

    def rows(self) -> list[str]:
        return sorted(row[0] for row in self.office.sql("SELECT attachment_id FROM attachment"))

    async def yes(
        self, who: Principal = ANN, content: bytes = b"abc", name: str = "a.txt"
    ) -> Attachment:
        answer = await self.files.upload(who, name, sent(content))
        assert isinstance(answer, Attachment), answer
        return answer

    async def no(
        self, who: Principal = ANN, content: bytes = b"abc", name: str = "a.txt"
    ) -> Refusal:
        answer = await self.files.upload(who, name, sent(content))
        assert isinstance(answer, Refusal), answer
        return answer

    async def bound(self, conv: str, upload: Attachment, *, is_note: bool = False) -> None:
        """To the newest message there."""
        stream = Stream(f"conv:{conv}:staff" if is_note else f"conv:{conv}")
        newest = "SELECT msg_id FROM message WHERE stream_id = ? ORDER BY position DESC"
        msg_id = self.office.sql(newest, stream)[0][0]
        async with self.office.store.writing() as conn:
            binding = Binding(attachment_id=upload.id, msg_id=msg_id, stream=stream)
            await attachments.bind(conn, [binding])

    async def read(self, who: Principal, upload: Attachment) -> bytes | None:
        found = await self.files.open(who, upload.id)
        if isinstance(found, Refusal):
            assert found.code is Code.NOT_FOUND
            return None
        return b"".join([chunk async for chunk in found.chunks(0, found.attachment.bytes)])

    async def seen_by(self, upload: Attachment) -> set[Principal]:
        return {who for who in EVERYBODY if await self.read(who, upload) is not None}


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


async def sent(content: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


# Up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", IMAGES)
async def test_an_image_is_what_its_bytes_are(desk: Desk, kind: str) -> None:
    upload = await desk.yes(content=IMAGES[kind] + b"rest", name="../evil\u202egnp.exe")

    assert (upload.kind, upload.type) == (AttachmentKind.IMAGE, kind)
    assert (upload.width, upload.height) == (3, 2)
    assert upload.name == "evilgnp.exe"
    assert desk.stored() == desk.rows() == [upload.id]
    assert await desk.read(ANN, upload) == IMAGES[kind] + b"rest"


async def test_what_is_no_image_is_a_file_whatever_it_is_called(desk: Desk) -> None:
    desk.office.now_ms = START
    for name, content in NO_IMAGES.items():
        desk.office.now_ms += UPLOADS.window_s * 1000
        upload = await desk.yes(content=content, name="picture.png")
        assert upload.kind is AttachmentKind.FILE, name
        assert upload.type == "application/octet-stream", name
        assert (upload.width, upload.height) == (None, None), name
        assert await desk.read(ANN, upload) == content, name


async def test_an_image_has_at_most_10_mb_and_a_file_20(desk: Desk) -> None:
    image, file = png(), b"x"
    await desk.yes(content=image.ljust(IMAGE_BYTES_MAX, b"x"))
    await desk.yes(content=file.ljust(FILE_BYTES_MAX, b"x"))
    stored = desk.stored()

    refused = [
        await desk.no(content=image.ljust(IMAGE_BYTES_MAX + 1, b"x")),
        await desk.no(content=file.ljust(FILE_BYTES_MAX + 1, b"x")),
    ]

    assert refused == [
        Refusal(Code.TOO_LARGE, {"max": IMAGE_BYTES_MAX}),
        Refusal(Code.TOO_LARGE, {"max": FILE_BYTES_MAX}),
    ]
    assert desk.stored() == desk.rows() == stored


async def test_what_is_too_large_is_not_read_to_its_end(desk: Desk) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield bytes(1024 * 1024)

    answer = await desk.files.upload(ANN, "a", endless())

    assert isinstance(answer, Refusal)
    assert given == FILE_BYTES_MAX // (1024 * 1024) + 1
    assert desk.stored() == []


async def test_an_empty_upload_is_none(desk: Desk) -> None:
    assert await desk.no(content=b"") == Refusal(Code.INVALID, {"field": "body"})
    assert desk.stored() == desk.rows() == []


async def test_the_type_is_seen_however_the_first_bytes_arrive(desk: Desk) -> None:
    answer = await desk.files.upload(ANN, "a", sent(IMAGES["image/webp"], size=1))

    assert isinstance(answer, Attachment)
    assert answer.type == "image/webp"


async def test_an_upload_that_breaks_off_leaves_nothing(desk: Desk) -> None:
    class Gone(Exception):
        pass

    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        raise Gone

    with pytest.raises(Gone):
        await desk.files.upload(ANN, "a", breaking())

    assert desk.stored() == desk.rows() == []


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_slow_upload_that_is_cancelled_leaves_nothing(desk: Desk, after: int) -> None:
    arrived = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(after):
            yield b"x" * 400_000
        arrived.set()
        await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(desk.files.upload(ANN, "a", slow()))
    await arrived.wait()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert desk.stored() == desk.rows() == []
    assert (await desk.yes()).bytes == 3  # and is not counted as under way


async def test_thirty_a_minute_are_taken_of_a_principal(desk: Desk) -> None:
    for n in range(UPLOADS.most):
        desk.office.now_ms = START + n
        await desk.yes()

    assert await desk.no() == Refusal(Code.TOO_MANY, {"retry_after_s": 60})
    await desk.yes(BO)
    desk.office.now_ms = START + UPLOADS.window_s * 1000 - 1
    assert await desk.no() == Refusal(Code.TOO_MANY, {"retry_after_s": 1})
    desk.office.now_ms = START + UPLOADS.window_s * 1000
    await desk.yes()
    assert len(desk.stored()) == len(desk.rows()) == UPLOADS.most + 2


async def test_those_at_once_are_held_to_the_same_bound(desk: Desk) -> None:
    answers = await asyncio.gather(
        *(desk.files.upload(ANN, "a", sent(b"abc")) for _ in range(UPLOADS.most + 5))
    )

    taken = [each for each in answers if isinstance(each, Attachment)]
    refused = {each.code for each in answers if isinstance(each, Refusal)}
    assert 0 < len(taken) <= UPLOADS.most
    assert refused == {Code.TOO_MANY}
    assert desk.stored() == desk.rows() == sorted(each.id for each in taken)


async def test_a_process_takes_so_many_at_once(desk: Desk) -> None:
    may_end, arrived = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        arrived.release()
        await may_end.wait()

    people = [ANN, BO, WANG]
    tasks = [
        asyncio.get_running_loop().create_task(
            desk.files.upload(people[n % len(people)], "a", slow())
        )
        for n in range(AT_ONCE_MAX)
    ]
    for _ in tasks:
        await arrived.acquire()
    refused = await desk.no(LINA)
    may_end.set()
    await asyncio.gather(*tasks)

    assert refused.code is Code.TRY_LATER
    await desk.yes(LINA)


async def test_what_waits_for_a_message_has_a_bound_for_each_principal(desk: Desk) -> None:
    upload = await desk.yes()
    desk.office.write("UPDATE attachment SET bytes = ?", STAGED_BYTES_MAX - 1)
    other = await desk.yes()

    refused = await desk.no()
    conv = await desk.office.claimed(ANN)
    await desk.bound(conv, upload)

    assert refused == Refusal(Code.TOO_LARGE, {"max": STAGED_BYTES_MAX, "of": "staged"})
    assert (await desk.yes()).id != other.id


async def test_whoever_is_disabled_uploads_nothing(desk: Desk) -> None:
    desk.office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'ann'")

    assert await desk.no() == Refusal(Code.NOT_ALLOWED)
    assert await desk.no(employee("nobody")) == Refusal(Code.NOT_ALLOWED)
    assert desk.stored() == []


async def test_a_full_disk_is_a_reason_to_come_again(office: Office) -> None:
    desk = Desk(office, free_bytes_min=2**62)

    refused = await desk.no()

    assert refused.code is Code.TRY_LATER
    assert desk.stored() == desk.rows() == []


# Down ---------------------------------------------------------------------------------------------


async def test_what_is_staged_is_its_owners_alone(desk: Desk) -> None:
    assert await desk.seen_by(await desk.yes(ANN)) == {ANN}
    assert await desk.seen_by(await desk.yes(WANG)) == {WANG}


async def test_what_is_posted_is_theirs_who_see_the_message(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    anns, wangs = await desk.yes(ANN), await desk.yes(WANG)
    await desk.bound(conv, anns)
    await desk.office.post(WANG, conv)
    await desk.bound(conv, wangs)

    seeing = {ANN, WANG, CHEN, LINA, agent("root")}
    assert await desk.seen_by(anns) == seeing
    assert await desk.seen_by(wangs) == seeing


async def test_what_hangs_on_a_note_no_employee_sees(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    await desk.office.note(WANG, conv)
    upload = await desk.yes(WANG)
    await desk.bound(conv, upload, is_note=True)

    assert await desk.seen_by(upload) == {WANG, CHEN, LINA, agent("root")}


async def test_an_invited_colleague_sees_what_was_posted_within_their_bounds(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    early, within, late = [await desk.yes(ANN) for _ in range(3)]
    for upload in (early, within, late):
        await desk.office.post(ANN, conv)
        await desk.bound(conv, upload)
    head = desk.office.head(f"conv:{conv}")
    desk.office.write(
        "INSERT INTO participant (conv_id, realm, person_id, role, visible_from, left_at)"
        " VALUES (?, 'employee', 'bo', 'invited', ?, ?)",
        conv,
        head - 1,
        head - 1,
    )

    assert [await desk.read(BO, upload) for upload in (early, within, late)] == [
        None, b"abc", None
    ]  # fmt: skip


async def test_what_is_withdrawn_nobody_is_served(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    upload, staged = await desk.yes(ANN), await desk.yes(ANN)
    await desk.bound(conv, upload)
    async with desk.office.store.writing() as conn:
        ids = [upload.id, staged.id]
        await attachments.withdraw(conn, ids, at=START, destroy_at=None)

    assert await desk.seen_by(upload) == set()
    assert await desk.seen_by(staged) == set()


async def test_right_is_asked_each_time(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    upload = await desk.yes(ANN)
    await desk.bound(conv, upload)

    before = await desk.read(CHEN, upload)
    desk.office.write("DELETE FROM group_member WHERE person_id = 'chen'")

    assert (before, await desk.read(CHEN, upload)) == (b"abc", None)


async def test_a_piece_is_read_piece_by_piece(desk: Desk) -> None:
    content = os.urandom(READ_BYTES * 2 + 10)
    upload = await desk.yes(content=content)
    found = await desk.files.open(ANN, upload.id)
    assert not isinstance(found, Refusal)

    pieces = [chunk async for chunk in found.chunks(5, len(content) - 5)]

    assert b"".join(pieces) == content[5:-5]
    assert max(map(len, pieces)) == READ_BYTES


async def test_a_row_whose_file_is_gone_is_not_found(desk: Desk) -> None:
    upload = await desk.yes()
    await desk.local.remove(upload.id)

    assert await desk.read(ANN, upload) is None


# Cleaning -----------------------------------------------------------------------------------------


async def test_what_no_message_named_within_a_day_is_destroyed(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    bound, old = await desk.yes(), await desk.yes()
    await desk.bound(conv, bound)
    desk.office.now_ms = START + 1
    young = await desk.yes()

    desk.office.now_ms = START + STAGED_MS
    await desk.files.clean()
    whole = desk.stored()
    desk.office.now_ms = START + STAGED_MS + 1
    await desk.files.clean()

    assert whole == sorted([bound.id, old.id, young.id])
    assert desk.stored() == desk.rows() == sorted([bound.id, young.id])
    with pytest.raises(StoreBusy):
        await desk.bound(conv, old)


async def test_what_is_withdrawn_is_destroyed_in_its_time(desk: Desk) -> None:
    conv = await desk.office.claimed(ANN)
    recalled, redacted, stands = await desk.yes(), await desk.yes(), await desk.yes()
    for upload in (recalled, redacted, stands):
        await desk.bound(conv, upload)
    async with desk.office.store.writing() as conn:
        await attachments.withdraw(conn, [recalled.id], at=START, destroy_at=START + 9)
        await attachments.withdraw(conn, [redacted.id], at=START, destroy_at=START)

    await desk.files.clean()
    first = desk.stored()
    desk.office.now_ms = START + 9
    await desk.files.clean()

    assert first == sorted([recalled.id, stands.id])
    assert desk.stored() == desk.rows() == [stands.id]


async def test_what_a_crash_left_over_is_settled_by_its_row(desk: Desk) -> None:
    upload = await desk.yes()
    place, incoming = desk.local.place(upload.id), desk.folder / "incoming"
    place.replace(incoming / upload.id)  # as if the process had stopped between COMMIT and move
    (incoming / "without-a-row").write_bytes(b"x")
    for path in incoming.iterdir():
        os.utime(path, (START // 1000 - 90_000,) * 2)

    before = await desk.read(ANN, upload)
    await desk.files.clean()

    assert before == await desk.read(ANN, upload) == b"abc"
    assert [path.name for path in incoming.iterdir()] == []
    assert place.is_file()


class LosingStore(Store):
    """Its transactions commit, and the answer never comes."""

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        async with super().writing() as conn:
            yield conn
        raise StoreLost("gone")


async def test_a_commit_of_unknown_outcome_leaves_the_file_for_its_row(desk: Desk) -> None:
    store = await asyncio.to_thread(LosingStore, desk.office.database.url)
    files = Files(store, desk.local, now=lambda: START, new_id=desk.office.new_id)
    with pytest.raises(StoreLost):
        await files.upload(ANN, "a", sent(b"abc"))
    await store.close()

    (upload_id,) = desk.rows()
    found = await desk.files.open(ANN, upload_id)
    assert not isinstance(found, Refusal)
    assert [chunk async for chunk in found.chunks(0, 3)] == [b"abc"]
