"""The local folder: what is kept is whole, what is not kept is gone, no name becomes a path."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from deskwire.storage.files import HEAD_BYTES, WRITE_BYTES, LocalFiles, off_loop

BYTES = bytes(range(256)) * 3_000
BAD_IDS = ("", "..", "../x", "a/b", "a\\b", "a\0b", ".", "x" * 37, "网", "a b", "C:x")


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "new" / "files", free_bytes_min=0)


def everything(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


async def kept(files: LocalFiles, file_id: str, content: bytes = BYTES) -> str:
    async with files.receiving(file_id) as incoming:
        for at in range(0, len(content), 1000):
            await incoming.write(content[at : at + 1000])
        digest = await incoming.finish()
        await incoming.keep()
    return digest


async def test_what_is_kept_is_read_back_whole_and_in_pieces(files: LocalFiles) -> None:
    digest = await kept(files, "id-000042")

    assert digest == hashlib.sha256(BYTES).hexdigest()
    assert await files.has("id-000042")
    assert await files.read("id-000042", 0, len(BYTES)) == BYTES
    assert await files.read("id-000042", 1, 3) == BYTES[1:3]
    assert await files.read("id-000042", len(BYTES), len(BYTES) + 5) == b""


async def test_the_first_bytes_are_at_hand_without_reading(files: LocalFiles) -> None:
    async with files.receiving("a") as incoming:
        await incoming.write(b"abc")
        assert (incoming.size, incoming.head(2), incoming.head(16)) == (3, b"ab", b"abc")
        await incoming.write(b"d" * (HEAD_BYTES + WRITE_BYTES))
        assert incoming.size == 3 + HEAD_BYTES + WRITE_BYTES
        assert len(incoming.head(HEAD_BYTES * 2)) == HEAD_BYTES


async def test_an_empty_file_is_a_file(files: LocalFiles) -> None:
    digest = await kept(files, "a", b"")

    assert digest == hashlib.sha256(b"").hexdigest()
    assert await files.read("a", 0, 10) == b""


async def test_what_is_not_kept_leaves_nothing(files: LocalFiles, tmp_path: Path) -> None:
    async with files.receiving("a") as incoming:
        await incoming.write(BYTES)

    async def breaks_off() -> None:
        async with files.receiving("b") as incoming:
            await incoming.write(BYTES)
            raise LookupError

    with pytest.raises(LookupError):
        await breaks_off()

    assert everything(tmp_path) == []
    assert not await files.has("a")


@pytest.mark.parametrize("turns", range(12))
async def test_whoever_is_cancelled_at_any_point_leaves_nothing(
    files: LocalFiles, tmp_path: Path, turns: int
) -> None:
    async def receive() -> None:
        async with files.receiving("a") as incoming:
            while True:
                await incoming.write(b"x" * WRITE_BYTES)

    task = asyncio.get_running_loop().create_task(receive())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert everything(tmp_path) == []


async def test_a_cancellation_waits_for_the_step_under_way(tmp_path: Path) -> None:
    may_end, done = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(10)
        done.set()

    task = asyncio.get_running_loop().create_task(off_loop(work))
    await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    was_over = task.done()
    may_end.set()
    await asyncio.wait({task})

    assert not was_over
    assert done.is_set()
    assert task.cancelled()


async def test_what_is_left_is_found_a_day_later_and_kept_or_removed(
    files: LocalFiles, tmp_path: Path
) -> None:
    for file_id in ("old-a", "old-b", "young"):
        async with files.receiving(file_id) as incoming:
            await incoming.write(b"abc")
            await incoming.finish()
            incoming.leave()
    folder = tmp_path / "new" / "files" / "incoming"
    for file_id in ("old-a", "old-b"):
        os.utime(folder / file_id, (1_000, 1_000))

    (folder / ".not-ours").write_bytes(b"")
    os.utime(folder / ".not-ours", (1_000, 1_000))

    assert await files.left_over(1_000_000) == []
    assert await files.left_over(1_000_001) == ["old-a", "old-b"]
    assert await files.read("old-a", 0, 9) == b"abc"  # a crash may have come before the move
    await files.keep("old-a")
    await files.remove("old-b")
    assert await files.left_over(1_000_001) == []
    assert await files.read("old-a", 0, 9) == b"abc"
    assert everything(folder) == [".not-ours", "young"]


async def test_nothing_is_left_over_where_nothing_ever_came(files: LocalFiles) -> None:
    assert await files.left_over(2**53) == []
    await files.remove("a")
    assert not await files.has("a")


@pytest.mark.parametrize("file_id", BAD_IDS)
async def test_what_is_no_id_is_no_path(files: LocalFiles, tmp_path: Path, file_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        await kept(files, file_id)
    with pytest.raises(ValueError, match="id"):
        await files.read(file_id, 0, 1)
    with pytest.raises(ValueError, match="id"):
        await files.remove(file_id)

    assert everything(tmp_path) == []


async def test_an_id_is_taken_once(files: LocalFiles) -> None:
    async with files.receiving("a") as first:
        await first.write(b"first")
        with pytest.raises(FileExistsError):
            await kept(files, "a", b"second")
        await first.finish()
        await first.keep()

    assert await files.read("a", 0, 9) == b"first"


async def test_a_full_disk_takes_nothing(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "files", free_bytes_min=2**62)

    with pytest.raises(OSError) as fault:
        await kept(files, "a")

    assert fault.value.errno == errno.ENOSPC
    assert everything(tmp_path) == []


async def test_files_and_folders_are_their_owners_alone(files: LocalFiles, tmp_path: Path) -> None:
    await kept(files, "id-000042")

    folder = tmp_path / "new" / "files"
    modes = {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
    }
    assert modes == {"incoming": 0o700, "42": 0o700, "42/id-000042": 0o600}


async def test_a_copy_is_a_file_of_its_own(files: LocalFiles, tmp_path: Path) -> None:
    await kept(files, "a", b"abc")

    await files.copy("a", tmp_path / "out" / "a")
    await files.remove("a")

    assert everything(tmp_path) == ["out/a"]
    with pytest.raises(FileNotFoundError):
        await files.copy("a", tmp_path / "out" / "b")
