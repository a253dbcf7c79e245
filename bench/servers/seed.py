"""A database with so many agents, each signed in: `python -m bench.servers.seed FOLDER PEOPLE`.

A process of its own, so that what it leaves free in memory is not what the server then fills. The
secrets are what load.c puts into its cookies.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from deskwire.app import now_ms
from deskwire.storage import migrate
from deskwire.storage.engine import Store, sqlite_at
from deskwire.storage.tables import agent, login, person

LOGIN_MS: Final = 12 * 3600 * 1000


async def seed(store: Store, people: int) -> None:
    now = now_ms()
    names = [f"a{n}" for n in range(people)]
    works = {"role": "agent", "availability": "online", "capacity": 5, "load": 0}
    logins = [
        {
            "secret_hash": hashlib.sha256(f"bench-secret-{n}".encode()).digest(),
            "login_id": f"login-{n}",
            "realm": "agent",
            "person": name,
            "created": now,
            "seen": now,
            "expires": now + LOGIN_MS,
        }
        for n, name in enumerate(names)
    ]
    async with store.writing() as conn:
        await conn.execute(
            insert(person), [{"person_id": n, "name": n, "department": ""} for n in names]
        )
        await conn.execute(
            insert(agent), [{"person_id": n, "login_name": n, **works} for n in names]
        )
        await conn.execute(insert(login), logins)
    await store.close()


def main(folder: Path, people: int) -> None:
    url = sqlite_at(folder / "desk.db")
    migrate.upgrade(url)
    asyncio.run(seed(Store(url), people))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
