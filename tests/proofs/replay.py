"""Whole conversations through the HTTP API and the sockets of a real server, as fast as it takes.

Several agents hand them on, write notes with canaries, recall and redact; the server may be killed
at any moment, and whoever had no answer asks again with the same id. Then everything is compared:
what was acknowledged, what the log says, what each employee's page shows and what their socket
applied. Nothing of an employee's may hold a canary.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import httpx

from deskwire.app import now_ms
from deskwire.bench.client import Client, Door
from deskwire.bench.client import running as client_running
from deskwire.storage import people
from deskwire.storage.engine import Store
from tests.flows.office import agent_record, person
from tests.kit.conversations import Conversation, Line
from tests.kit.databases import Database
from tests.kit.server import DeskServer
from tests.proofs.claims import logged_in
from tests.web.site import Browser

CANARY = "canary7f3a"  # in every text that is for staff only
TAGS = tuple(f"{CANARY}-tag-{n}" for n in range(3))
AGENTS = 12
AT_ONCE = 6  # conversations
CAPACITY = 50
TRIES = 200
HEARD_S_MAX = 60.0
PAGE = 100
SUPERVISOR = "lina"
NOTE, RECALL, REDACT, HOLD, LABEL = 0.3, 0.1, 0.04, 0.04, 0.15


class Wrong(Exception):
    """What was answered is no answer that a page would go on from."""


@dataclass(slots=True)
class Said:
    """A message that was acknowledged. Without a body it was withdrawn since."""

    msg_id: str
    by: str
    body: str | None


@dataclass(slots=True)
class Story:
    """One conversation as it was played: what was acknowledged, and what its requester heard."""

    name: str
    asker: str
    conv: str = ""
    said: list[Said] = field(default_factory=list)
    ear: Client | None = None
    answers: list[str] = field(default_factory=list)  # every body an employee was sent

    @property
    def expected(self) -> list[tuple[str, str, str | None]]:
        return [(each.msg_id, each.by, each.body) for each in self.said]


class Voice:
    """Somebody's browser that asks again, with the same id, until it has an answer."""

    def __init__(self, browser: Browser, realm: str, name: str, world: Replay) -> None:
        self.name = name
        self.realm = realm
        self._browser = browser
        self._world = world
        self.heard: list[str] = []

    async def tell(self, name: str, conv: str | None = None, **args: Any) -> httpx.Response:
        body: dict[str, Any] = {"name": name, "args": args}
        body |= {} if conv is None else {"conv": conv}
        command_id = f"{self.name}-{next(self._world.ids):08}"
        url = f"/api/{self.realm}/commands"
        answer = await self._until_answered(
            lambda: self._browser.send_json(url, body, command_id=command_id)
        )
        if answer.status_code == 200:
            self._world.acknowledged(answer)
        return answer

    async def yes(self, name: str, conv: str | None = None, **args: Any) -> dict[str, Any]:
        answer = await self.tell(name, conv, **args)
        if answer.status_code != 200:
            raise Wrong(f"{self.name} {name} {args}: {answer.status_code} {answer.text[:300]}")
        result: dict[str, Any] = answer.json()["result"]
        return result

    async def get(self, path: str, **query: Any) -> Any:
        url = f"/api/{self.realm}{path}"
        answer = await self._until_answered(lambda: self._browser.get(url, params=query))
        if answer.status_code != 200:
            raise Wrong(f"{self.name} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    async def _until_answered(
        self, asking: Callable[[], Awaitable[httpx.Response]]
    ) -> httpx.Response:
        for _ in range(TRIES):
            await self._world.is_up.wait()
            try:
                answer = await asking()
            except httpx.TransportError:
                self._world.seen["broken off"] += 1
                await asyncio.sleep(0.05)  # the page's own pause
                continue
            self.heard.append(answer.text)
            if answer.status_code not in {429, 503}:
                return answer
            self._world.seen[f"again after {answer.status_code}"] += 1
            await asyncio.sleep(answer.json()["refusal"]["detail"].get("retry_after_s", 1))
        raise Wrong(f"{self.name} had no answer in {TRIES} tries")


class Replay:
    """The people, the server and all that was acknowledged."""

    def __init__(self, database: Database, server: DeskServer, seed: int) -> None:
        self.database = database
        self.server = server
        self.seed = seed
        self.ids = count(1)
        self.canaries = count(1)
        self.is_up = asyncio.Event()
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stories: list[Story] = []
        self.acks = 0
        self._kill_at = 0  # acknowledgements
        self._is_time = asyncio.Event()
        self._agents: dict[str, Voice] = {}
        self._secrets: dict[str, str] = {}

    # People ---------------------------------------------------------------------------------------

    async def hired(self, conversations: Sequence[Conversation]) -> None:
        """Everybody and their logins, before the server has the database."""
        store = await asyncio.to_thread(Store, self.database.url)
        askers = [f"asker{number}" for number in range(len(conversations))]
        agents = [f"agent{number}" for number in range(AGENTS)]
        async with store.writing() as conn:
            for name in (*askers, *agents):
                await people.save_person(conn, person(name))
            for name in agents:
                await people.save_agent(conn, agent_record(name))
        await store.close()
        self.database.write("UPDATE agent SET capacity = ?", CAPACITY)
        for tag in TAGS:
            self.database.write("INSERT INTO tag VALUES (?, ?, '#000000', ?, 1)", tag, tag, False)
        now = now_ms()
        for realm, names in (("employee", askers), ("agent", [*agents, SUPERVISOR])):
            for name in names:
                self._secrets[name] = logged_in(self.database, realm, name, now)
        self.stories = [
            Story(name=each.name, asker=asker)
            for each, asker in zip(conversations, askers, strict=True)
        ]

    async def voice(self, stack: AsyncExitStack, realm: str, name: str) -> Voice:
        browser = Browser(base_url=self.server.url, timeout=30, trust_env=False)
        await stack.enter_async_context(browser)
        browser.cookies.set(f"deskwire-{realm}", self._secrets[name])
        return Voice(browser, realm, name, self)

    def ear(self, realm: str, name: str, *streams: str) -> Client:
        """A socket that comes back by itself and goes on from where it was."""
        door = Door(
            url=f"{self.server.url.replace('http', 'ws')}/ws/{realm}",
            origin=self.server.url,
            headers={"Cookie": f"deskwire-{realm}={self._secrets[name]}"},
        )
        client = Client(door, Random(self.seed).random)
        client.watch(dict.fromkeys(streams, (None, 0)))
        return client

    def acknowledged(self, answer: httpx.Response) -> None:
        self.acks += 1
        if self.acks >= self._kill_at:
            self._is_time.set()
        self.seen["replayed"] += bool(answer.json()["replayed"])

    def canary(self) -> str:
        return f"{CANARY}-{next(self.canaries)}"

    # The whole ------------------------------------------------------------------------------------

    async def play(
        self, conversations: Sequence[Conversation], kills: int, shown: Callable[[int], None]
    ) -> None:
        """Everything, AT_ONCE at a time, killed so many times; then compared."""
        self.is_up.set()
        async with AsyncExitStack() as stack:
            for name in (*(f"agent{n}" for n in range(AGENTS)), SUPERVISOR):
                self._agents[name] = await self.voice(stack, "agent", name)
                ear = self.ear("agent", name, f"agent:{name}", "queue:support")
                await stack.enter_async_context(client_running(ear))
            total = sum(len(each.lines) for each in conversations)
            async with asyncio.TaskGroup() as tasks:
                killer = tasks.create_task(self._kill(kills, total))
                await self._all(stack, conversations, shown)
                killer.cancel()
            await self._compare_all(stack)

    async def _all(
        self,
        stack: AsyncExitStack,
        conversations: Sequence[Conversation],
        shown: Callable[[int], None],
    ) -> None:
        places = asyncio.Semaphore(AT_ONCE)
        done = count(1)

        async def one(number: int, conversation: Conversation) -> None:
            async with places:
                try:
                    await self._one(stack, number, conversation)
                except Wrong as fault:
                    self.wrong.append(f"{conversation.name}: {fault}")
                shown(next(done))

        async with asyncio.TaskGroup() as tasks:
            for number, conversation in enumerate(conversations):
                tasks.create_task(one(number, conversation))

    async def _kill(self, kills: int, messages: int) -> None:
        """At so many moments, counted in acknowledgements and a little time after one."""
        dice = Random(f"{self.seed} kills")
        for at in sorted(dice.randrange(5, max(6, messages)) for _ in range(kills)):
            self._kill_at = at
            self._is_time.clear()
            if self.acks < at:
                await self._is_time.wait()
            await asyncio.sleep(dice.uniform(0, 0.05))
            self.is_up.clear()
            await asyncio.to_thread(self.server.kill)
            await asyncio.to_thread(self.server.start)
            self.seen["kills"] += 1
            self.is_up.set()

    # One conversation -----------------------------------------------------------------------------

    async def _one(self, stack: AsyncExitStack, number: int, conversation: Conversation) -> None:
        story, dice = self.stories[number], Random(f"{self.seed} {conversation.name}")
        asker = await self.voice(stack, "employee", story.asker)
        story.answers = asker.heard
        first, *rest = conversation.lines
        opened = await asker.yes(
            "open_conversation", category_id="network", kind="text", body=first.text
        )
        story.conv = opened["conv_id"]
        story.said.append(Said(opened["msg_id"], story.asker, first.text))
        story.ear = self.ear("employee", story.asker, f"conv:{story.conv}",
                             f"employee:{story.asker}")  # fmt: skip
        await stack.enter_async_context(client_running(story.ear))
        for line in rest:
            await self._line(story, asker, line, number, dice)
        await self._end(story, asker, dice)

    async def _line(
        self, story: Story, asker: Voice, line: Line, number: int, dice: Random
    ) -> None:
        if line.by == "employee":
            who = asker
            done = await who.yes("post_message", story.conv, kind="text", body=line.text)
        else:
            which = int(line.by.removeprefix("agent"))
            who = self._agents[f"agent{(number + which) % AGENTS}"]
            done = await self._answer(story, who, line.text, dice)
        story.said.append(Said(done["msg_id"], who.name, line.text))
        await self._beside(story, who, dice)

    async def _answer(self, story: Story, who: Voice, text: str, dice: Random) -> dict[str, Any]:
        """By an agent who may have to take it first, and may lose it to the clock meanwhile."""
        for _ in range(TRIES):
            answer = await who.tell(
                "post_message", story.conv, kind="text", body=text, send_anyway=True
            )
            if answer.status_code == 200:
                result: dict[str, Any] = answer.json()["result"]
                return result
            code = answer.json()["refusal"]["code"]
            match code:
                case "claim_first":
                    await who.tell("claim_conversation", story.conv)
                case "join_first":
                    await self._come_in(story, who, dice)
                case _:
                    raise Wrong(f"{who.name} could not answer: {answer.text[:300]}")
        raise Wrong(f"{who.name} never got in")

    async def _come_in(self, story: Story, who: Voice, dice: Random) -> None:
        """One of the ways in which a second agent comes to write in it."""
        lead = self._agents[SUPERVISOR]
        ways = ("transfer", "transfer", "join", "requeue", "take", "assign")
        way = dice.choice(ways)
        self.seen[f"by {way}"] += 1
        match way:
            case "transfer":
                await self._transfer(story, who, dice)
            case "requeue":
                await lead.tell("requeue_conversation", story.conv, reason=self.canary())
                await who.tell("claim_conversation", story.conv)
            case "take":
                await lead.tell("take_over", story.conv, reason=self.canary())
                await who.tell("join_conversation", story.conv)
            case "assign":
                args = {"agent": who.name, "reason": self.canary()}
                await lead.tell("assign_conversation", story.conv, **args)
            case _:
                await who.tell("join_conversation", story.conv)

    async def _transfer(self, story: Story, who: Voice, dice: Random) -> None:
        args = {"agent": who.name, "note": self.canary(), "stay": dice.random() < 0.5}
        answer = await self._agents[SUPERVISOR].tell("transfer_to_agent", story.conv, **args)
        if answer.status_code == 200 and "offer_id" in answer.json()["result"]:
            offer_id = answer.json()["result"]["offer_id"]
            self.seen["transfers"] += 1
            await who.tell("accept_offer", story.conv, offer_id=offer_id)

    async def _beside(self, story: Story, who: Voice, dice: Random) -> None:
        """What goes on around a message: notes, labels, recalls, redactions, a pause."""
        conv, lead, mine = story.conv, self._agents[SUPERVISOR], story.said[-1]
        if dice.random() < NOTE:
            mentions = [dice.choice(list(self._agents))]
            await lead.yes("post_note", conv, body=self.canary(), mentions=mentions)
        if dice.random() < LABEL:
            seen = (await lead.get(f"/conversations/{conv}"))["conversation"]["label_version"]
            await lead.yes("set_tags", conv, tags=dice.sample(TAGS, 2), version=seen)
        if dice.random() < RECALL:
            await who.yes("recall_message", conv, msg_id=mine.msg_id)
            mine.body = None
            self.seen["recalls"] += 1
        elif dice.random() < REDACT:
            await lead.yes("redact_message", conv, msg_id=mine.msg_id, reason=self.canary())
            mine.body = None
            self.seen["redactions"] += 1
        if dice.random() < HOLD:
            held = {"until": now_ms() + 3600_000, "reason": self.canary()}
            answer = await lead.tell("hold_conversation", conv, **held)
            self.seen["holds"] += answer.status_code == 200
            await who.tell("resume_conversation", conv) if who.realm == "agent" else None
            if answer.status_code == 200:
                # Where the last agent does not resume it, the requester's next message does.
                await lead.tell("take_over", conv, reason=self.canary())

    async def _end(self, story: Story, asker: Voice, dice: Random) -> None:
        lead = self._agents[SUPERVISOR]
        await lead.tell("take_over", story.conv, reason=self.canary())
        await lead.yes("resolve_conversation", story.conv, note=self.canary())
        if dice.random() < 0.7:
            await asker.yes("rate_conversation", story.conv, score=dice.randint(1, 5))

    # The comparison -------------------------------------------------------------------------------

    async def _compare_all(self, stack: AsyncExitStack) -> None:
        for story in self.stories:
            asker = await self.voice(stack, "employee", story.asker)
            asker.heard = story.answers
            try:
                await self._compare(story, asker)
            except Wrong as fault:
                self.wrong.append(f"{story.name}: {fault}")
        await self._staff_has_every_canary()

    async def _compare(self, story: Story, asker: Voice) -> None:
        stream, expected = f"conv:{story.conv}", story.expected
        log = await self._events(asker, stream)
        self._same(story, "the log", expected, [each["event"] for each in log])
        pages = await self._timeline(asker, story.conv)
        self._same(story, "the page", expected, [each["event"] for each in pages])
        ear = story.ear
        assert ear is not None
        try:
            async with asyncio.timeout(HEARD_S_MAX):
                await ear.until(lambda it: (it.record.positions(stream) or [0])[-1] >= len(log))
        except TimeoutError:
            self.wrong.append(f"{story.name}: the socket did not come to {len(log)}: {ear!r}")
            return
        if ear.record.positions(stream) != list(range(1, len(log) + 1)):
            self.wrong.append(f"{story.name}: the socket had {ear.record.positions(stream)}")
        applied = [each.event for each in ear.record.applied if each.stream == stream]
        self._same(story, "the socket", expected, applied)
        await self._look_everywhere(story, asker)

    def _same(
        self,
        story: Story,
        where: str,
        expected: list[tuple[str, str, str | None]],
        events: Sequence[Mapping[str, Any]],
    ) -> None:
        found = told(events)
        self.seen["compared"] += len(found)
        if found != expected:
            first = next(
                (pair for pair in zip(expected, found, strict=False) if pair[0] != pair[1]),
                (len(expected), len(found)),
            )
            self.wrong.append(f"{story.name}: {where} tells another history, first at {first}")

    async def _events(self, voice: Voice, stream: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = await voice.get("/events", stream=stream, after=len(found), limit=PAGE)
            found += page["events"]
            if [each["position"] for each in found] != list(range(1, len(found) + 1)):
                raise Wrong(f"{stream} has a hole")
            if len(found) >= page["head"]:
                return found

    async def _timeline(self, voice: Voice, conv: str) -> list[dict[str, Any]]:
        """Page by page from the first, as a reader scrolls."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            page = await voice.get(f"/conversations/{conv}/messages", after=after, limit=20)
            found += page["entries"]
            if not page["entries"] or not page["more"]:
                return found
            after = found[-1]["position"]

    async def _look_everywhere(self, story: Story, asker: Voice) -> None:
        """All that an employee can ask for, then everything they were ever sent."""
        await asker.get("/boot")
        await asker.get("/conversations", view="any")
        await asker.get(f"/conversations/{story.conv}")
        await self._events(asker, f"employee:{story.asker}")
        for words in (CANARY, f"{CANARY}-1"):
            if (await asker.get("/conversations", q=words))["rows"]:
                self.wrong.append(f"{story.name}: a search finds what is staff's")
        assert story.ear is not None
        pushes = self.database.sql(
            "SELECT * FROM push WHERE realm = 'employee' AND person = ?", story.asker
        )
        heard = [*asker.heard, *story.ear.record.received, *map(repr, pushes)]
        self.seen["bytes of employees"] += sum(len(each.encode()) for each in heard)
        for text in heard:
            if CANARY in text or ":staff" in text:
                self.wrong.append(f"{story.name}: an employee was sent {around(text)}")
                return

    async def _staff_has_every_canary(self) -> None:
        """Else the search above would have looked for what was never there."""
        lead = self._agents[SUPERVISOR]
        found: set[str] = set()
        for story in self.stories:
            if story.conv:
                events = await self._events(lead, f"conv:{story.conv}:staff")
                text = json.dumps(events, ensure_ascii=False)
                found |= {each for each in text.split('"') if each.startswith(CANARY)}
        self.seen["canaries"] = len(found)
        if len(found) < self.acks // 20:
            self.wrong.append(f"only {len(found)} canaries were there to be told")


def told(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    """The messages of a stream's events, folded: who said what, and what is withdrawn."""
    found: dict[str, tuple[str, str, str | None]] = {}
    for event in events:
        data = event["data"]
        match event["type"]:
            case "message.posted":
                body = None if "withdrawn" in data else data["body"]
                found[data["msg_id"]] = (data["msg_id"], event["by"]["id"], body)
            case "message.recalled" | "message.redacted":
                was = found[data["msg_id"]]
                found[data["msg_id"]] = (was[0], was[1], None)
    return list(found.values())


def around(text: str) -> str:
    at = max(text.find(CANARY), text.find(":staff"))
    return text[max(0, at - 200) : at + 100]
