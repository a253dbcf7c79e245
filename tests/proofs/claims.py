"""Fifty agents claim one conversation at once, again and again, by whatever doors there are.

Held after each round: one wins, everybody else is told who has it or that they are full, the row
says the same, and nobody's load is another number than that of their conversations or above their
capacity.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import httpx

from deskwire.storage import people
from deskwire.storage.engine import Store
from tests.flows.office import agent_record, person
from tests.kit.databases import Database
from tests.web.site import Browser

AGENTS = 50
CAPACITIES = (1, 2)  # by turns: half of them are full with their first
KEPT = 40  # conversations that stay open at once: then many are full
SEVERAL_EVERY = 5  # rounds; in such a one several conversations are there to be had
SEVERAL = 2
TRIES = 20  # a desk under load may say "later, same id", and is asked again as a page would


async def hired(url: str) -> Mapping[str, int]:
    """The crowd of agents; their capacities."""
    capacities = {f"agent{n:02}": CAPACITIES[n % len(CAPACITIES)] for n in range(AGENTS)}
    store = await asyncio.to_thread(Store, url)
    async with store.writing() as conn:
        for name in capacities:
            await people.save_person(conn, person(name))
            await people.save_agent(conn, agent_record(name))
    await store.close()
    return capacities


def logged_in(database: Database, realm: str, who: str, now_ms: int) -> str:
    """The secret of a login as either road makes one."""
    secret = f"{realm} {who}"
    database.write(
        "INSERT INTO login (secret_hash, login_id, realm, person, created, seen, expires)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        hashlib.sha256(secret.encode()).digest(),
        f"{realm}-{who}",
        realm,
        who,
        now_ms,
        now_ms,
        now_ms + 12 * 3600 * 1000,
    )
    return secret


class Race:
    """`doors` are the nodes; agents are spread over them. `seen` counts what was answered."""

    def __init__(self, database: Database, capacities: Mapping[str, int], now_ms: int) -> None:
        self._database = database
        self._capacities = capacities
        self._now_ms = now_ms
        self._ids = count(1)
        self._open: deque[tuple[str, str]] = deque()  # conversation, who has it
        self._agents: dict[str, Browser] = {}
        self._doors: Sequence[Mapping[str, Any]] = ()
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def start(self, stack: AsyncExitStack, doors: Sequence[Mapping[str, Any]]) -> None:
        """Everybody in front of a door; each is what a browser needs to reach it."""
        self._doors = doors
        for number, name in enumerate(self._capacities):
            self._database.write("UPDATE agent SET capacity = ? WHERE person_id = ?",
                                 self._capacities[name], name)  # fmt: skip
            browser = Browser(**doors[number % len(doors)], timeout=60, trust_env=False)
            self._agents[name] = await stack.enter_async_context(browser)
            secret = logged_in(self._database, "agent", name, self._now_ms)
            browser.cookies.set("deskwire-agent", secret)

    async def round(self, number: int) -> None:
        """Open one conversation or several, let everybody claim each, look, and end old ones."""
        several = SEVERAL if number % SEVERAL_EVERY == SEVERAL_EVERY - 1 else 1
        convs = [await self._opened() for _ in range(several)]
        asking = [(conv, name) for conv in convs for name in self._agents]
        answers = await asyncio.gather(*(self._claim(conv, name) for conv, name in asking))
        for conv in convs:
            told = {
                name: answer
                for (of, name), answer in zip(asking, answers, strict=True)
                if of == conv
            }
            self._judge(number, conv, told)
        self._look(number)
        while len(self._open) > KEPT:
            await self._ended(*self._open.popleft())

    async def _opened(self) -> str:
        """A conversation of an employee who had none before."""
        name = f"asker{next(self._ids)}"
        self._database.write(
            "INSERT INTO person (person_id, name, department) VALUES (?, ?, '市场部')", name, name
        )
        secret = logged_in(self._database, "employee", name, self._now_ms)
        async with Browser(**self._doors[0], timeout=60, trust_env=False) as browser:
            browser.cookies.set("deskwire-employee", secret)
            args = {"category_id": "network", "kind": "text", "body": "打不开"}
            answer = await self._told(browser, "employee", "open_conversation", args)
        return str(answer.raise_for_status().json()["result"]["conv_id"])

    async def _claim(self, conv: str, name: str) -> httpx.Response:
        return await self._told(self._agents[name], "agent", "claim_conversation", {}, conv)

    async def _ended(self, conv: str, name: str) -> None:
        answer = await self._told(self._agents[name], "agent", "resolve_conversation", {}, conv)
        answer.raise_for_status()

    async def _told(
        self, browser: Browser, realm: str, name: str, args: Mapping[str, Any], conv: str = ""
    ) -> httpx.Response:
        body = {"name": name, "args": args} | ({"conv": conv} if conv else {})
        url, command_id = f"/api/{realm}/commands", f"{name}-{next(self._ids):06}"
        for _ in range(TRIES):
            try:
                answer = await browser.send_json(url, body, command_id=command_id)
            except httpx.TransportError:  # an idle connection that the server has just let go
                self.seen["broken off"] += 1
                continue
            if answer.status_code != 503:
                return answer
            self.seen["try_later"] += 1
            await asyncio.sleep(answer.json()["refusal"]["detail"]["retry_after_s"])
        raise AssertionError(f"{name} had no answer in {TRIES} tries")

    def _judge(self, number: int, conv: str, answers: Mapping[str, httpx.Response]) -> None:
        winners = [name for name, answer in answers.items() if answer.status_code == 200]
        row = self._database.sql(
            "SELECT status, assignee_id FROM conversation WHERE conv_id = ?", conv
        )[0]
        if len(winners) != 1 or row != ("active", winners[0]):
            self.wrong.append(f"round {number}: {winners} won {conv}, which stands as {row}")
            return
        self._open.append((conv, winners[0]))
        self.seen["won"] += 1
        for name, answer in answers.items():
            if name != winners[0]:
                self._loser(number, name, answer, winners[0])

    def _loser(self, number: int, name: str, answer: httpx.Response, winner: str) -> None:
        said = answer.json().get("refusal", {})
        code = said.get("code")
        self.seen[str(code)] += 1
        is_told_who = code == "already_taken" and said["detail"]["by"]["id"] == winner
        is_full = code == "at_capacity"
        if answer.status_code != 409 or not (is_told_who or is_full):
            self.wrong.append(
                f"round {number}: {winner} won, and {name} was told "
                f"{answer.status_code} {answer.text[:200]}"
            )

    def _look(self, number: int) -> None:
        """What the rows say of everybody's load, and of each conversation's hands."""
        rows = self._database.sql(
            "SELECT agent.person_id, load, capacity, (SELECT count(*) FROM conversation"
            " WHERE assignee_id = agent.person_id AND status = 'active') FROM agent"
        )
        for name, load, capacity, active in rows:
            if load != active or load > capacity:
                self.wrong.append(
                    f"round {number}: {name} has {active} conversations, "
                    f"a load of {load} and a capacity of {capacity}"
                )
        for conv, taken in self._database.sql(
            "SELECT conv_id, count(*) FROM assignment WHERE ended_at IS NULL"
            " GROUP BY conv_id HAVING count(*) <> 1"
        ):
            self.wrong.append(f"round {number}: {conv} is in the hands of {taken}")
