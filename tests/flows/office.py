"""A desk without its door: a real database, seeded people, a clock that stands still.

The migrated and seeded database is made once and copied, so a test costs milliseconds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Self

import argon2

from deskwire.desk.commands import COMMANDS
from deskwire.desk.deadlines import TimerKind
from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.desk.refusals import Refusal
from deskwire.flows.dispatch import Dispatcher
from deskwire.flows.execute import Accepted, Execute
from deskwire.flows.timers import Timers
from deskwire.realtime.frames import Ephemeral
from deskwire.storage import migrate, office, people
from deskwire.storage.due import GivenClock
from deskwire.storage.engine import Store
from deskwire.storage.log import SqlLog
from deskwire.storage.people import AgentRecord, PersonRecord
from deskwire.storage.views import Views
from tests.kit.databases import Database

START = 1_767_225_600_000
PASSWORD = "correct horse battery staple"
EMPLOYEES = ("ann", "bo", "cy", "mei")
AGENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wang": ("agent", ("support",)),
    "chen": ("agent", ("support",)),
    "lina": ("supervisor", ("support",)),
    "mei": ("agent", ("support",)),  # in both realms
    "qian": ("agent", ("facilities",)),
    "sun": ("supervisor", ("facilities",)),
    "root": ("admin", ()),
}


def agent(name: str) -> Principal:
    return Principal(Realm.AGENT, PersonId(name))


def employee(name: str) -> Principal:
    return Principal(Realm.EMPLOYEE, PersonId(name))


ANN, BO, MEI = employee("ann"), employee("bo"), employee("mei")
WANG, CHEN, LINA, QIAN = agent("wang"), agent("chen"), agent("lina"), agent("qian")


@cache
def template() -> bytes:
    """The file that every test on SQLite starts from. Blocks: for synchronous fixtures only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "desk.db"
        filled(url_of(path))
        with sqlite3.connect(path) as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()
        return path.read_bytes()


def filled(url: str) -> None:
    """Migrate and seed an empty database. Blocks."""
    migrate.upgrade(url)
    asyncio.run(_seed(Store(url)))


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@cache
def _hashed() -> str:
    return argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(PASSWORD)


async def _seed(store: Store) -> None:
    async with store.writing() as conn:
        for group_id, name in (("support", "IT 支持"), ("facilities", "办公设备")):
            await office.save_group(conn, group_id, name=name)
        for order, (category_id, group_id) in enumerate(
            (("network", "support"), ("account", "support"), ("printer", "facilities"))
        ):
            await office.save_category(
                conn,
                category_id,
                name_zh=f"{category_id} 中文",
                name_en=category_id,
                group_id=group_id,
                order=order,
            )
        for name in dict.fromkeys((*EMPLOYEES, *AGENTS)):
            await people.save_person(conn, person(name))
        for name, (role, groups) in AGENTS.items():
            await people.save_agent(conn, agent_record(name, role, groups, _hashed()))
    await store.close()


def person(name: str, **more: Any) -> PersonRecord:
    return PersonRecord(
        id=name, name=name.title(), wecom_userid=f"wx-{name}", department="市场部", **more
    )


def agent_record(
    name: str, role: Any = "agent", groups: tuple[str, ...] = ("support",), hashed: str = ""
) -> AgentRecord:
    return AgentRecord(
        person=name, login_name=name, password_hash=hashed or None, role=role, groups=groups
    )


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring of the bell, and whether its position could be read by then."""

    stream: str
    position: int
    is_after_commit: bool


class Office:
    def __init__(self, database: Database) -> None:
        self.database = database
        # A crowd on a slow machine waits longer here than a person would.
        self.store = Store(database.url, acquire_s=30)
        self.now_ms = START
        self.rings: list[Ring] = []
        self._ids = count(1)
        self.clock = GivenClock(lambda: self.now_ms)
        self.wakings = 0
        self.explained: list[str] = []
        self.signs: list[Ephemeral] = []
        self.execute = Execute(
            self.store,
            ring=self.ring,
            clock=self.clock,
            new_id=self.new_id,
            due=self.wake,
            sign=self.signs.append,
        )
        self.dispatcher = Dispatcher(
            self.store,
            execute=self.execute,
            clock=self.clock,
            new_id=self.new_id,
            due=self.wake,
            explained=self.explained.append,
        )
        self.timers = Timers(
            self.store,
            execute=self.execute,
            clock=self.clock,
            others={
                TimerKind.DISPATCH: self.dispatcher.look,
                TimerKind.HOURS_EDGE: self.dispatcher.edge,
            },
        )
        self.log = SqlLog(self.store)
        self.views = Views(self.store, self.clock)

    def new_id(self) -> str:
        return f"id-{next(self._ids):08d}"

    def wake(self) -> None:
        self.wakings += 1

    def ring(self, stream: str, position: int) -> None:
        self.rings.append(Ring(stream, position, is_after_commit=self.head(stream) >= position))

    @classmethod
    async def at(cls, database: Database) -> Self:
        """Built off the loop, as building looks at the disk."""
        return await asyncio.to_thread(cls, database)

    async def close(self) -> None:
        await self.store.close()

    # --- asking ---

    async def do(
        self,
        who: Principal,
        name: str,
        conv: str | None = None,
        /,
        *,
        command_id: str | None = None,
        **args: Any,
    ) -> Accepted | Refusal:
        of: dict[str, Any] = {"conv": conv} if conv is not None else {}
        command = COMMANDS[name].command(**of, **args)
        return await self.execute.run(who, command_id or f"command-{next(self._ids)}", command)

    async def yes(
        self, who: Principal, name: str, conv: str | None = None, /, **more: Any
    ) -> Accepted:
        answer = await self.do(who, name, conv, **more)
        assert isinstance(answer, Accepted), answer
        return answer

    async def no(
        self, who: Principal, name: str, conv: str | None = None, /, **more: Any
    ) -> Refusal:
        answer = await self.do(who, name, conv, **more)
        assert isinstance(answer, Refusal), answer
        return answer

    async def opened(
        self, who: Principal = ANN, body: str = "VPN 连不上", category_id: str = "network"
    ) -> str:
        answer = await self.yes(
            who, "open_conversation", category_id=category_id, kind="text", body=body
        )
        return str(answer.result["conv_id"])

    async def claimed(self, who: Principal = ANN, by: Principal = WANG) -> str:
        conv = await self.opened(who)
        await self.yes(by, "claim_conversation", conv)
        return conv

    async def post(self, who: Principal, conv: str, body: str = "在看") -> Accepted:
        return await self.yes(who, "post_message", conv, kind="text", body=body)

    async def note(self, who: Principal, conv: str, body: str = "内部") -> Accepted:
        return await self.yes(who, "post_note", conv, body=body)

    # --- time, and who is there ---

    async def after(self, seconds: float) -> None:
        """So much later, with all that was due meanwhile done."""
        self.now_ms += int(seconds * 1000)
        await self.settle()

    async def settle(self) -> None:
        """Do what is due now, and what that makes due."""
        while await self.timers.round():
            pass

    def here(self, *agents: Principal, seconds: float = 3600) -> None:
        """These agents have a connection, for so long."""
        for who in agents:
            self.write("DELETE FROM timer WHERE kind = 'agent_lost' AND key = ?", who.person)
            self.write(
                "INSERT INTO timer VALUES ('agent_lost', ?, ?, 1, 0)",
                who.person,
                self.now_ms + int(seconds * 1000) + 90_000,
            )

    def offering(self) -> None:
        """Groups whose queues reach their agents by offers."""
        self.write("UPDATE agent_group SET routing = 'offer'")

    def offer_of(self, conv: str) -> tuple[str, str] | None:
        """The live offer of a conversation and who is asked."""
        found = self.sql(
            "SELECT offer_id, agent_id FROM offer WHERE conv_id = ? AND outcome IS NULL", conv
        )
        return (found[0][0], found[0][1]) if found else None

    async def offered(self) -> tuple[str, str]:
        """A conversation that is offered to 王, and the offer."""
        self.offering()
        self.here(WANG)
        conv = await self.opened()
        await self.settle()
        offer = self.offer_of(conv)
        assert offer is not None
        return conv, offer[0]

    def status(self, conv: str) -> str:
        return str(self.one("SELECT status FROM conversation WHERE conv_id = ?", conv))

    def armed(self, kind: str) -> dict[str, int]:
        """The timers of a kind: key → due."""
        return dict(self.sql("SELECT key, due FROM timer WHERE kind = ?", kind))

    # --- looking, past our own code ---

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows as another process sees them: committed ones."""
        return list(self.database.sql(statement, *values))

    def one(self, statement: str, *values: Any) -> Any:
        return self.sql(statement, *values)[0][0]

    def head(self, stream: str) -> int:
        found = self.sql("SELECT head FROM stream WHERE stream_id = ?", stream)
        return int(found[0][0]) if found else 0

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        names = self.database.tables()
        return {name: self.one(f"SELECT count(*) FROM {name}") for name in names}

    def write(self, statement: str, *values: Any) -> None:
        """Something that another program does to the database."""
        self.database.write(statement, *values)


def positions(rows: Sequence[Any]) -> list[int]:
    return [int(row[0]) for row in rows]
