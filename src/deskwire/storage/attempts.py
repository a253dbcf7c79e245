"""Attempts at passwords, counted by login name and by address, the same on every node.

An attempt counts as wrong from its begin, so a hundred at once are no way around the count; the
right one is taken back. Invariant: rows are no older than the longest window, and as many as there
were attempts that were let through to the hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from deskwire.desk.rates import PASSWORDS_OF_ADDRESS, PASSWORDS_OF_NAME, Rate
from deskwire.storage import dialects
from deskwire.storage.engine import Transaction
from deskwire.storage.tables import password_attempt

WINDOW_MS = 1000 * max(PASSWORDS_OF_NAME.window_s, PASSWORDS_OF_ADDRESS.window_s)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose password is tried, as it was typed, and from where; no address: nobody knows."""

    login_name: str
    address: str | None

    @property
    def name_hash(self) -> bytes:
        return _hashed(f"name:{self.login_name.casefold()}")

    @property
    def address_hash(self) -> bytes | None:
        return _hashed(f"address:{self.address}") if self.address is not None else None


async def take_turns(conn: Transaction, attempt: Attempt) -> None:
    """Those who try the same name, or from the same address, are counted one after the other."""
    hashes = (each for each in (attempt.name_hash, attempt.address_hash) if each is not None)
    await dialects.take_turns(
        conn, *(int.from_bytes(each[:8], "big", signed=True) for each in hashes)
    )


async def oldest_that_counts(conn: Transaction, attempt: Attempt, rate: Rate) -> int | None:
    """When the `rate.most`-th newest was (Unix ms); none: there are not that many."""
    of_name = password_attempt.c.name_hash == attempt.name_hash
    of_address = password_attempt.c.address_hash == attempt.address_hash
    found = await conn.scalar(
        select(password_attempt.c.at)
        .where(of_name if rate == PASSWORDS_OF_NAME else of_address)
        .order_by(password_attempt.c.at.desc())
        .offset(rate.most - 1)
        .limit(1)
    )
    return int(found) if found is not None else None


async def begin(conn: Transaction, attempt: Attempt, attempt_id: str, now: int) -> None:
    """Count it; what is past every window is swept here."""
    await conn.execute(delete(password_attempt).where(password_attempt.c.at <= now - WINDOW_MS))
    await conn.execute(
        insert(password_attempt).values(
            attempt_id=attempt_id,
            name_hash=attempt.name_hash,
            address_hash=attempt.address_hash,
            at=now,
        )
    )


async def take_back(conn: Transaction, attempt_id: str) -> None:
    """It was the right one."""
    await conn.execute(delete(password_attempt).where(password_attempt.c.attempt_id == attempt_id))


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
