"""Attachments' bytes, by id: the port, and a local folder behind it.

A file comes in under `incoming`, is on the disk before its row is written, and moves to its place
once the row is committed; so what a crash leaves over lies in one small folder. No name that a
person chose ever becomes part of a path. Every step runs off the event loop, and whoever is
cancelled waits for the step under way, so that nothing is written after it was cleared away.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final, Protocol, TypeVar

HEAD_BYTES: Final = 512 * 1024
WRITE_BYTES: Final = 256 * 1024  # gathered, for each step off the loop costs a turn of it
FREE_BYTES_MIN: Final = 512 * 1024 * 1024  # the database may live on the same disk

_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
_T = TypeVar("_T")


class Incoming(Protocol):
    """A file that is coming in."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    def head(self, count: int) -> bytes:
        """So many of the first of them, of at most 512 KiB that are kept."""

    async def write(self, chunk: bytes) -> None:
        """Add to its end. Raises OSError, as the rest does."""

    async def finish(self) -> str:
        """Put it on the disk; the SHA-256 of all of it."""

    async def keep(self) -> None:
        """Its row is committed: give it its place."""

    async def remove(self) -> None:
        """It is not wanted."""

    def leave(self) -> None:
        """Nobody knows whether its row is committed: `left_over` finds it a day later."""


class FileStore(Protocol):
    """Bytes by id. Every method may raise OSError."""

    def receiving(self, file_id: str) -> AbstractAsyncContextManager[Incoming]:
        """A file under this id; removed at the end of the block unless it is kept or left."""

    async def read(self, file_id: str, start: int, stop: int) -> bytes:
        """Bytes from `start` to before `stop`. Holds nothing open. Raises FileNotFoundError."""

    async def has(self, file_id: str) -> bool: ...

    async def keep(self, file_id: str) -> None:
        """Give what was left over its place."""

    async def remove(self, file_id: str) -> None:
        """Destroy it, wherever it is; nothing happens where it is not."""

    async def left_over(self, before_ms: int) -> list[str]:
        """What came in before this time (Unix ms) and has neither been kept nor removed."""


class LocalFiles:
    """A folder on this machine, or one that all nodes share. Made when the first file comes in."""

    def __init__(self, folder: Path, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._free_bytes_min = free_bytes_min

    def __repr__(self) -> str:
        return f"<LocalFiles {self._folder}>"

    @asynccontextmanager
    async def receiving(self, file_id: str) -> AsyncGenerator[Incoming, None]:
        incoming = _LocalIncoming(self._at(self._incoming, file_id), self.place(file_id))
        try:
            await off_loop(self._make_room)
            await off_loop(incoming.open)
            yield incoming
        finally:
            if incoming.is_ours:
                await incoming.remove()

    async def read(self, file_id: str, start: int, stop: int) -> bytes:
        return await off_loop(_read, self._found, file_id, start, stop)

    async def has(self, file_id: str) -> bool:
        return await off_loop(lambda: self._found(file_id).is_file())

    async def copy(self, file_id: str, to: Path) -> None:
        """Write a copy of it, its folder made if missing. Raises FileNotFoundError."""
        await off_loop(_copy, self._found, file_id, to)

    async def keep(self, file_id: str) -> None:
        await off_loop(_move, self._at(self._incoming, file_id), self.place(file_id))

    async def remove(self, file_id: str) -> None:
        for path in (self._at(self._incoming, file_id), self.place(file_id)):
            await off_loop(partial(path.unlink, missing_ok=True))

    async def left_over(self, before_ms: int) -> list[str]:
        return await off_loop(self._left_over, before_ms)

    def place(self, file_id: str) -> Path:
        """Where a file that is kept stands. Raises ValueError for what is no id."""
        # By the last two, as the first ones of a UUIDv7 are the hour.
        return self._at(self._folder / file_id[-2:], file_id)

    def _at(self, folder: Path, file_id: str) -> Path:
        if not _ID.fullmatch(file_id):
            raise ValueError("not the id of a file")
        return folder / file_id

    def _found(self, file_id: str) -> Path:
        """A crash may have come between the row's COMMIT and the move."""
        kept = self.place(file_id)
        return kept if kept.is_file() else self._at(self._incoming, file_id)

    def _make_room(self) -> None:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._incoming).free < self._free_bytes_min:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._incoming))

    def _left_over(self, before_ms: int) -> list[str]:
        if not self._incoming.is_dir():
            return []
        return sorted(
            path.name
            for path in self._incoming.iterdir()
            if _ID.fullmatch(path.name) and path.stat().st_mtime_ns // 1_000_000 < before_ms
        )


class _LocalIncoming:
    """`is_ours` until it is kept, removed or left."""

    def __init__(self, path: Path, place: Path) -> None:
        self._path = path
        self._place = place
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._head = bytearray()
        self._gathered = bytearray()
        self.size = 0
        self.is_ours = True

    def head(self, count: int) -> bytes:
        return bytes(self._head[:count])

    def open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb", buffering=0)

    async def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._gathered += chunk
        if len(self._gathered) >= WRITE_BYTES:
            await off_loop(self._write)

    async def finish(self) -> str:
        await off_loop(self._finish)
        return self._digest.hexdigest()

    async def keep(self) -> None:
        self.is_ours = False
        await off_loop(_move, self._path, self._place)

    async def remove(self) -> None:
        self.is_ours = False
        await off_loop(self._remove)

    def leave(self) -> None:
        self.is_ours = False

    def _write(self) -> None:
        assert self._file is not None
        gathered, self._gathered = bytes(self._gathered), bytearray()
        self._digest.update(gathered)
        left = memoryview(gathered)
        while left:
            left = left[self._file.write(left) :]

    def _finish(self) -> None:
        assert self._file is not None
        self._write()
        os.fsync(self._file.fileno())
        self._file.close()
        _sync_folder(self._path.parent)

    def _remove(self) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


def _read(found: Callable[[str], Path], file_id: str, start: int, stop: int) -> bytes:
    with found(file_id).open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


def _copy(found: Callable[[str], Path], file_id: str, to: Path) -> None:
    source = found(file_id)
    to.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(source, to)


def _move(path: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o700, exist_ok=True)
    path.replace(place)


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk once its folder is; not every system lets a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def off_loop(work: Callable[..., _T], *given: object) -> _T:
    """Run on a thread. A cancellation is passed on only when the thread has come to its end."""
    future = asyncio.get_running_loop().run_in_executor(None, partial(work, *given))
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as fault:
            cancelled = fault
    if cancelled is not None:
        future.exception()  # looked at: who is cancelled hears of nothing else
        raise cancelled
    return future.result()
