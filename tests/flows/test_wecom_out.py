from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deskwire.desk.commands import RecordPush
from deskwire.desk.deadlines import DAY_MS
from deskwire.desk.events import Stream
from deskwire.desk.marks import Mark
from deskwire.desk.people import SYSTEM, Principal
from deskwire.desk.refusals import Refusal
from deskwire.flows.wecom_out import Outbox, Sender
from deskwire.storage import doctor, marks, people, pushes
from deskwire.wecom.client import WeComClient
from deskwire.wecom.simulator.faults import FaultKind
from deskwire.wecom.simulator.mailbox import Card
from deskwire.wecom.simulator.world import Person, Rules
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office, agent
from tests.web.site import served
from tests.wecom.town import Town

MORNING = START + 2 * 3_600_000 + 5 * 60_000  # ten past ten in China: no quiet hours, no crowd
PUBLIC = "https://desk.example.com"
HOUR_S = 3600
NAMES = ("ann", "bo", "cy", "mei", "wang", "chen", "lina")


class Mailroom:
    """An office, a WeCom, and what carries cards from one to the other; all on one clock."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.now_ms = MORNING
        corp = (Person(userid=f"WX-{name}", name=name, department="市场部") for name in NAMES)
        self.town = Town(*corp)
        self.client: WeComClient = self.town.client()
        self.outbox = self.worker(self.client)

    def worker(self, client: WeComClient, *, seats: int = 100) -> Outbox:
        app = self.town.world.app.agent_id
        sender = Sender(client=client, agent_id=app, public_url=PUBLIC, seats=seats)
        return Outbox(
            self.office.store,
            execute=self.office.execute,
            clock=self.office.clock,
            sender=sender,
            monotonic=lambda: self.office.now_ms / 1000,
        )

    async def after(self, seconds: float, outbox: Outbox | None = None) -> None:
        self.office.now_ms += int(seconds * 1000)
        self.town.clock.now_ms = self.office.now_ms
        while await (outbox or self.outbox).round():
            pass

    def inbox(self, name: str = "ann") -> list[Card]:
        return self.town.world.inbox(f"wx-{name}")

    def texts(self, name: str = "ann") -> list[str]:
        return [card.description for card in self.inbox(name)]

    def rows(self, columns: str = "state, reason", *, of: str = "ann") -> list[Any]:
        query = f"SELECT {columns} FROM push WHERE person = ? ORDER BY newest, due"
        return self.office.sql(query, of)

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of the events of a push, as staff have them."""
        rows = self.office.sql("SELECT body FROM event WHERE type = ? ORDER BY at", f"push.{kind}")
        return [json.loads(bytes(row[0]))["data"] for row in rows]

    async def marked(
        self, conv: str, *, delivered: int | None = None, read: int = 0, who: Principal = ANN
    ) -> None:
        """This person's page acknowledges; all of it where nothing else is said."""
        stream = Stream(f"conv:{conv}")
        up_to = self.office.head(stream) if delivered is None else delivered
        at = self.office.now_ms
        mark = Mark(realm=who.realm, person=who.person, delivered=up_to, read=read, at=at)
        async with self.office.store.writing() as conn:
            await marks.save(conn, [(stream, mark)])
            await pushes.marked(conn, [(who, stream, mark)])


@pytest.fixture
async def room(office: Office) -> AsyncIterator[Mailroom]:
    room = Mailroom(office)
    async with room.client:
        yield room


# Where nothing is said to the database that others do not say, one is enough.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


# One card, whatever happens -----------------------------------------------------------------------


async def test_who_is_away_gets_one_card_for_three_messages_and_no_word_of_a_note(
    room: Mailroom,
) -> None:
    office = room.office
    conv = await office.claimed()
    for body in ("第一条", "第二条", "第三条"):
        await office.post(WANG, conv, body)
        await office.note(WANG, conv, "CANARY-内部")
    head = office.head(f"conv:{conv}")

    await room.after(9)
    early = room.inbox()
    await room.after(1)
    await room.after(60)

    [card] = room.inbox()
    [row] = room.rows("push_id, state, body, msgid")
    assert early == []
    assert (card.title, card.description) == ("IT服务台有新回复", "Wang回复了您（3 条）")
    assert card.url == f"{PUBLIC}/h5/c/{conv}?p={row[0]}"
    assert tuple(row[1:]) == ("notified", None, card.msgid)
    assert not any(word in card.request.decode() for word in ("CANARY", "第一条"))
    assert room.told("notified") == [{"person": "ann", "up_to": head}]


@on_sqlite
async def test_an_ack_within_ten_seconds_leaves_nothing_to_send(room: Mailroom) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    head = room.office.head(f"conv:{conv}")
    await room.marked(conv, read=head)

    await room.after(30)

    assert (room.inbox(), room.rows()) == ([], [])


class Stuck(httpx.AsyncBaseTransport):
    """A road on which nothing gets through, and in the end is known not to have."""

    def __init__(self) -> None:
        self.is_reached = asyncio.Event()
        self.is_given_up = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.is_reached.set()
        await self.is_given_up.wait()
        raise httpx.ConnectError("connection refused", request=request)


async def test_an_end_between_freezing_and_sending_gives_one_card_of_the_same_bytes(
    room: Mailroom,
) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    room.office.now_ms += 10_000
    stuck = Stuck()
    async with room.town.client(transport=stuck) as client, asyncio.TaskGroup() as tasks:
        dying = tasks.create_task(room.worker(client).round())
        await stuck.is_reached.wait()
        dying.cancel()
    [(frozen,)] = room.rows("body")

    await room.after(60)
    before = room.inbox()
    await room.after(1)
    await room.after(60)

    assert before == []
    assert [card.request for card in room.inbox()] == [bytes(frozen)]
    assert [row[0] for row in room.rows()] == ["notified"]


async def test_a_lost_answer_is_asked_for_again_with_the_same_bytes(room: Mailroom) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    room.town.world.faults.add("message/send", FaultKind.REPLY_LOST, times=2)

    await room.after(10)
    in_doubt = room.rows("state, tries")
    for seconds in (2, 10, 60):
        await room.after(seconds)

    assert [tuple(row) for row in in_doubt] == [("sending", 1)]
    [card] = room.inbox()
    assert list(room.town.world.mailbox.requests) == [card.request] * 3
    assert [tuple(row) for row in room.rows("state, msgid")] == [("notified", card.msgid)]


@on_sqlite
async def test_while_nobody_knows_of_a_card_the_next_one_waits_as_after_any_other(
    room: Mailroom,
) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    room.town.world.faults.add("message/send", FaultKind.REPLY_LOST, times=2)
    await room.after(10)
    await room.office.post(WANG, conv)
    counts = []
    for seconds in (2, 10, 47, 1):
        await room.after(seconds)
        counts.append(len(room.inbox()))

    assert counts == [1, 1, 1, 2]


@on_sqlite
async def test_what_nobody_answers_fails_after_three_and_a_half_hours_and_is_told_with_the_next(
    room: Mailroom,
) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    room.town.world.faults.add("message/send", FaultKind.HTML, times=100)
    await room.after(10)
    for _ in range(3):
        await room.after(3600)
    before = room.rows()
    await room.after(1800)
    room.town.world.faults.clear()

    await room.office.post(WANG, conv)
    await room.after(10)

    assert [tuple(row) for row in before] == [("sending", None)]
    assert [tuple(row) for row in room.rows()] == [("failed", "unknown"), ("notified", None)]
    assert [told["reason"] for told in room.told("failed")] == ["unknown"]
    assert room.texts() == ["Wang回复了您（2 条）"]


async def test_what_was_not_taken_waits_again_and_joins_what_has_come_since(room: Mailroom) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    room.office.now_ms += 10_000
    stuck = Stuck()

    async with room.town.client(transport=stuck) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(room.worker(client).round())
        await stuck.is_reached.wait()  # frozen; what comes now is armed beside it
        await room.office.post(WANG, conv)
        states = sorted(row[0] for row in room.rows())
        stuck.is_given_up.set()
    joined = room.rows("state, tried_at")
    await room.after(10)

    assert states == ["armed", "sending"]
    assert [tuple(row) for row in joined] == [("armed", None)]
    assert room.texts() == ["Wang回复了您（2 条）"]


@on_sqlite
async def test_a_refused_connection_leaves_the_push_armed_and_open_to_more(room: Mailroom) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    room.town.world.faults.add("message/send", FaultKind.REFUSED, times=3)
    await room.after(10)
    waiting = room.rows("state, body, tried_at, tries")
    await room.office.post(WANG, conv)

    await room.after(10)

    assert [tuple(row) for row in waiting] == [("armed", None, None, 1)]
    assert room.texts() == ["Wang回复了您（2 条）"]


@on_sqlite
async def test_an_outcome_under_an_older_lease_is_thrown_away(room: Mailroom) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    [(push_id, lease_no)] = room.rows("push_id, lease_no")
    late = RecordPush(
        conv=conv, push_id=push_id, lease_no=lease_no - 1, realm="employee", person="ann",
        outcome="notified",
    )  # fmt: skip

    answer = await room.office.execute.run(SYSTEM.principal, "late", late)

    assert isinstance(answer, Refusal)
    assert room.told("notified") == []
    assert [row[0] for row in room.rows()] == ["armed"]


# Who cannot be reached, and faults ----------------------------------------------------------------


@on_sqlite
async def test_whom_wecom_does_not_reach_is_told_to_staff_and_left_alone_until_a_login(
    room: Mailroom,
) -> None:
    room.town.world.add(Person(userid="wx-ann", name="ann", department="市场部", is_licensed=False))
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    await room.after(10)
    failed = room.rows()
    await room.office.post(WANG, conv)
    without = room.rows()
    async with room.office.store.writing() as conn:
        await people.find_again(conn, ANN.person)
    await room.office.post(WANG, conv)

    assert [tuple(row) for row in failed] == [("failed", "unlicensed_user")]
    assert [told["reason"] for told in room.told("failed")] == ["unlicensed_user"]
    assert without == failed
    assert [row[0] for row in room.rows()] == ["failed", "armed"]


@on_sqlite
async def test_a_wrong_setting_leaves_all_armed_and_then_each_gets_one_card(room: Mailroom) -> None:
    room.town.world.rules = Rules(trusted_ips=frozenset({"203.0.113.9"}))
    convs = [await room.office.claimed(who) for who in (ANN, BO)]
    for _ in range(3):
        for conv in convs:
            await room.office.post(WANG, conv)
        await room.after(30)
    asked = room.town.asked("message/send")
    waiting = [row[0] for who in ("ann", "bo") for row in room.rows(of=who)]

    room.town.world.rules = Rules()
    for _ in range(2):
        await room.after(120)

    assert waiting == ["armed", "armed"]
    assert asked <= 4
    assert room.texts("ann") == room.texts("bo") == ["Wang回复了您（3 条）"]


@on_sqlite
async def test_over_wecoms_limit_nothing_is_asked_before_its_penalty_ends(room: Mailroom) -> None:
    convs = [await room.office.claimed(who) for who in (ANN, BO)]
    await room.office.post(WANG, convs[0])
    room.town.world.faults.add("message/send", FaultKind.OVER_FREQUENCY)
    await room.after(10)
    await room.office.post(WANG, convs[1])

    await room.after(59)
    meanwhile = (room.texts("ann"), room.texts("bo"))
    await room.after(1)

    assert meanwhile == ([], [])
    assert len(room.texts("ann")) == len(room.texts("bo")) == 1


# How often ----------------------------------------------------------------------------------------


@on_sqlite
async def test_cards_without_a_sign_of_life_come_ever_more_seldom_and_an_ack_ends_that(
    room: Mailroom,
) -> None:
    conv = await room.office.claimed()
    counts = []
    for wait in (10, 59, 1, 299, 1):
        await room.office.post(WANG, conv)
        await room.after(wait)
        counts.append(len(room.inbox()))
    await room.after(5)
    await room.marked(conv)
    await room.office.post(WANG, conv)
    await room.after(10)

    assert counts == [1, 1, 2, 2, 3]
    assert room.texts() == [f"Wang回复了您（{n} 条）" for n in (1, 2, 2, 1)]


@on_sqlite
async def test_a_member_gets_no_more_than_twenty_a_minute_counted_over_rows(
    room: Mailroom,
) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)
    columns = "push_id, realm, person, stream_id, first, last, since, newest, whys, state, due"
    for n in range(20):
        room.office.write(
            f"INSERT INTO push ({columns}, lease_no, lease_until, tried_at, settled_at) VALUES "
            "(?, 'agent', 'ann', 'agent:ann', 1, 1, 0, 0, '[]', 'notified', 0, 1, 0, ?, ?)",
            f"push-{n}",
            MORNING + 5_000 + n,
            MORNING + 5_000 + n,
        )

    await room.after(30)
    early = room.inbox()
    await room.after(35)

    assert early == []
    assert len(room.inbox()) == 1


@on_sqlite
async def test_without_a_seat_left_for_today_cards_wait_for_midnight(room: Mailroom) -> None:
    conv = await room.office.claimed()
    await room.office.post(WANG, conv)

    await room.after(10, room.worker(room.client, seats=0))

    midnight = START - 8 * 3_600_000 + DAY_MS
    assert [tuple(row) for row in room.rows("state, due")] == [("armed", midnight)]


@on_sqlite
async def test_what_is_delivered_and_not_read_is_told_once_more_in_a_turn(room: Mailroom) -> None:
    office = room.office
    conv = await office.claimed()
    counts = []
    for writes in (WANG, WANG, ANN, WANG):
        await office.post(writes, conv)
        await room.marked(conv)
        await room.after(179)
        before = len(room.inbox())
        await room.after(1)
        counts.append(len(room.inbox()) - before)

    assert counts == [1, 0, 0, 1]
    assert {card.title for card in room.inbox()} == {"IT服务台有未读回复"}


# What was withdrawn, and who may not know ---------------------------------------------------------


@on_sqlite
async def test_a_count_falls_with_withdrawals_and_at_none_nothing_is_sent(room: Mailroom) -> None:
    conv, other = await room.office.claimed(), await room.office.claimed(BO)
    for where, count in ((conv, 3), (other, 1)):
        for n in range(count):
            said = await room.office.post(WANG, where)
            if n != 1:
                await room.office.yes(WANG, "recall_message", where, msg_id=said.result["msg_id"])

    await room.after(10)

    assert room.texts() == ["Wang回复了您（1 条）"]
    assert (room.texts("bo"), room.rows(of="bo")) == ([], [])


async def test_a_card_whose_messages_are_all_withdrawn_is_taken_back(room: Mailroom) -> None:
    conv = await room.office.claimed()
    said = [await room.office.post(WANG, conv) for _ in range(2)]
    await room.after(10)
    counts = []
    for each in said:
        await room.office.yes(WANG, "recall_message", conv, msg_id=each.result["msg_id"])
        await room.after(1)
        counts.append(len(room.inbox()))

    assert counts == [1, 0]
    assert [row[0] for row in room.rows()] == ["recalled"]
    assert room.told("recalled") == [{"person": "ann"}]


@on_sqlite
async def test_words_withdrawn_while_nobody_knows_are_sent_no_more_and_kept_nowhere(
    room: Mailroom,
) -> None:
    office = room.office
    await office.yes(agent("root"), "save_settings", values={"push_excerpt_chars": 40}, version=0)
    conv = await office.claimed()
    await office.post(WANG, conv, "一条")
    said = await office.post(WANG, conv, "密码是 CANARY")
    room.town.world.faults.add("message/send", FaultKind.HTML, times=9)
    await room.after(10)
    shown = "CANARY" in bytes(room.rows("body")[0][0]).decode()
    reason = {"msg_id": said.result["msg_id"], "reason": "密码"}
    await office.yes(LINA, "redact_message", conv, **reason)
    kept = room.rows("body")
    room.town.world.faults.clear()

    await room.after(10)

    assert shown
    assert [tuple(row) for row in kept] == [(None,)]
    assert room.inbox() == []
    assert [tuple(row) for row in room.rows()] == [("failed", "withdrawn")]


@on_sqlite
async def test_who_has_left_meanwhile_is_told_nothing(room: Mailroom) -> None:
    conv = await room.office.claimed()
    bo = {"realm": "employee", "person": "bo"}
    await room.office.yes(WANG, "invite_participant", conv, **bo, share_history=False)
    await room.office.post(WANG, conv)
    await room.office.yes(WANG, "remove_participant", conv, **bo)

    await room.after(10)

    assert (len(room.inbox("ann")), room.inbox("bo")) == (1, [])


@on_sqlite
async def test_an_agent_is_told_of_a_mention_without_its_words_and_of_no_offer_that_is_over(
    room: Mailroom,
) -> None:
    office = room.office
    office.offering()
    office.here(CHEN)
    conv = await office.opened()
    await office.settle()
    offer = office.offer_of(conv)
    assert offer is not None
    await office.yes(LINA, "post_note", conv, body="CANARY", mentions=("wang",))
    await office.yes(CHEN, "decline_offer", conv, offer_id=offer[0], reason="开会")

    await room.after(10)

    [card] = room.inbox("wang")
    assert (card.title, card.description) == ("有人在内部备注中提到您", "Lina提到了您（1 条）")
    assert card.url.startswith(f"{PUBLIC}/workbench/c/{conv}?p=")
    assert "CANARY" not in card.request.decode()
    assert room.inbox("chen") == []


@on_sqlite
async def test_a_desk_at_work_sends_by_itself(office: Office) -> None:
    """Over a real road, as `serve` and `demo` do; on the clock of the office."""
    ann = Person(userid="wx-ann", name="ann", department="市场部")
    async with served(office, members=[ann]) as site:
        assert site.wecom is not None
        conv = await office.claimed()
        await office.post(WANG, conv)
        office.now_ms += 10_000
        while not site.wecom.inbox("wx-ann"):  # noqa: ASYNC110  this phone does not ring
            await asyncio.sleep(0.02)

        [card] = site.wecom.inbox("wx-ann")

    assert card.url.startswith(f"{site.url}/h5/c/{conv}?p=")


@on_sqlite
async def test_whatever_became_of_pushes_no_invariant_is_broken(room: Mailroom) -> None:
    office = room.office
    room.town.world.add(Person(userid="wx-bo", name="bo", department="市场部", is_licensed=False))
    convs = [await office.claimed(who) for who in (ANN, BO)]
    office.now_ms += 1_000
    for writer in (ANN, WANG):  # the question is one of an agent who hands it on in time
        await office.post(writer, convs[0])
    office.now_ms += 1_000
    office.here(CHEN)
    handing: dict[str, Any] = {"agent": "chen", "note": "换人", "stay": True}
    await office.yes(WANG, "transfer_to_agent", convs[0], if_absent="refuse", **handing)
    offer = office.offer_of(convs[0])
    assert offer is not None
    await office.yes(CHEN, "accept_offer", convs[0], offer_id=offer[0])
    await office.post(WANG, convs[1])
    await room.after(10)
    await office.post(WANG, convs[1])
    said = await office.post(WANG, convs[1])
    await office.yes(WANG, "recall_message", convs[1], msg_id=said.result["msg_id"])
    await room.after(600)

    found = await doctor.examine(office.store, office.clock, is_sending=True)

    assert {each.law: each.examples for each in found if each.count} == {}
    assert [row[0] for row in room.rows()] == ["notified"]
    assert [row[0] for row in room.rows(of="bo")] == ["failed"]
