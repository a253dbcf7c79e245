from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from deskwire.desk.marks import Rise
from deskwire.desk.people import Principal, Realm
from deskwire.flows.flat import FlatForm
from deskwire.realtime.frames import Ephemeral
from tests.flows.office import ANN, BO, LINA, START, WANG, Office
from tests.web.site import Browser, Site, served
from tests.web.sockets import connected, frames, logged_in

FIXED = ("type", "conv_id", "msg_id", "status")


# Over sockets -------------------------------------------------------------------------------------


class Reader:
    """One socket, and every status that it was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._frames = frames(socket)
        self.told: list[dict[str, Any]] = []
        self.marks: dict[str, int] = {}
        self.position = 0

    async def until(self, op: str) -> None:
        """Read on to a frame of this kind."""
        async for frame in self._frames:
            if frame.get("type") == "message_status":
                self.told.append(frame["data"])
            if frame.get("type") == "marks" and "person" in frame["data"]:
                self.marks[frame["data"]["person"]] = frame["data"]["read"]
            if frame["op"] == "event":
                self.position = frame["position"]
            if frame["op"] == op:
                return
        raise AssertionError(f"closed before {op}")

    async def up_to(self, status: str, msg_id: str) -> None:
        """Read on until this is told of the message."""
        while not any(d["status"] == status and d["msg_id"] == msg_id for d in self.told):
            await self.until("ephemeral")

    async def up_to_mark(self, person: str, read: int) -> None:
        while self.marks.get(person, 0) < read:
            await self.until("ephemeral")

    async def up_to_event(self, position: int) -> None:
        while self.position < position:
            await self.until("event")

    async def say(self, **frame: Any) -> None:
        await self._socket.send(json.dumps(frame))

    async def rest(self) -> None:
        """Read what else was sent by now."""
        await self.say(op="probe", n=1)
        await self.until("alive")

    def of(self, msg_id: str) -> list[tuple[str, Any]]:
        """What was told of the message: the status, and who."""
        return [
            (d["status"], next((v for k, v in d.items() if k.endswith(("_by", "_to"))), None))
            for d in self.told
            if d["msg_id"] == msg_id
        ]


@pytest.fixture
async def site(office: Office) -> AsyncIterator[Site]:
    async with served(office) as site:
        yield site


async def test_both_realms_are_told_of_a_message_by_its_four_keys(site: Site) -> None:
    """An employee, an agent, a supervisor who only looks on, and a page that did not ask for it."""
    conv = await site.office.claimed()
    stream = f"conv:{conv}"
    async with AsyncExitStack() as open_:

        async def reading(who: Principal, *wants: str) -> Reader:
            socket = await open_.enter_async_context(connected(site, who, stream, wants=wants))
            reader = Reader(socket)
            await reader.until("live")
            return reader

        async def browsing(who: Principal) -> Browser:
            browser = site.browser()
            browser.cookies.set(f"deskwire-{who.realm.value}", await logged_in(site, who))
            return await open_.enter_async_context(browser)

        ann, wang, lina = [await reading(who, "flat") for who in (ANN, WANG, LINA)]
        plain = await reading(ANN)
        anns, wangs, linas = [await browsing(who) for who in (ANN, WANG, LINA)]

        async def said(browser: Browser, who: Principal, name: str, **args: Any) -> str:
            answer = await browser.command(who.realm, name, conv, **args)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["result"].get("msg_id"))

        first = await said(anns, ANN, "post_message", kind="text", body="一")
        note = await said(wangs, WANG, "post_note", body="内部")
        second = await said(wangs, WANG, "post_message", kind="text", body="二")
        await wang.up_to_event(site.office.head(stream))
        await wang.say(op="mark", stream=stream, read=wang.position)
        await ann.up_to("read", first)
        await said(anns, ANN, "recall_message", msg_id=first)
        await said(linas, LINA, "redact_message", msg_id=second, reason="x")
        await ann.up_to_event(site.office.head(stream))
        await ann.say(op="mark", stream=stream, read=ann.position)
        await wang.up_to_mark("ann", ann.position)
        # What is told is told in its order: after this nothing of the mark is still to come.
        third = await said(wangs, WANG, "post_message", kind="text", body="三")
        for reader in (ann, wang):
            await reader.up_to("sent", third)
        for reader in (ann, wang, lina, plain):
            await reader.rest()

    assert ann.of(first) == [
        ("sent", None),
        ("delivered", "staff"),
        ("read", "staff"),
        ("recalled", "ann"),
    ]
    assert wang.of(first) == [
        ("sent", None),
        ("delivered", "wang"),
        ("read", "wang"),
        ("recalled", "ann"),
    ]
    assert ann.of(second) == wang.of(second) == [("sent", None), ("deleted", "lina")]
    assert (ann.of(note), wang.of(note), lina.told, plain.told) == ([], [], [], [])
    assert all(tuple(told)[:4] == FIXED for told in ann.told)


# What is told, and when ---------------------------------------------------------------------------


class Told:
    """The flat form on an office's store, and every sign that went out."""

    def __init__(self, office: Office) -> None:
        self.signs: list[Ephemeral] = []
        self.is_wanted = True
        self.flat = FlatForm(
            office.store,
            sign=self.signs.append,
            is_wanted=lambda _: self.is_wanted,
            waiting_max=3,
        )

    def statuses(self, realm: Realm) -> list[tuple[str, str]]:
        return [
            (str(sign.data["msg_id"]), str(sign.data["status"]))
            for sign in self.signs
            if sign.to and any(who[0] == realm for who in sign.to)
        ]


async def msg_id(office: Office, who: Principal, conv: str) -> str:
    return str((await office.post(who, conv)).result["msg_id"])


def rise(conv: str, who: Principal, low: int, high: int) -> Rise:
    rose = low, high
    return Rise(
        conv=conv,
        who=who,
        at=START,
        delivered=rose,
        read=(0, 0),
        shown_delivered=rose,
        shown_read=(0, 0),
    )


async def test_what_was_withdrawn_before_it_is_told_is_not_told_as_delivered(
    office: Office,
) -> None:
    told, conv = Told(office), await office.claimed()
    first, second = await msg_id(office, ANN, conv), await msg_id(office, ANN, conv)
    told.flat.happened([rise(conv, WANG, 4, 6)])
    await office.yes(ANN, "recall_message", conv, msg_id=first)

    await told.flat.flush()

    assert told.statuses(Realm.AGENT) == told.statuses(Realm.EMPLOYEE) == [(second, "delivered")]


async def test_who_was_invited_late_is_told_of_what_they_see_and_tells_of_nothing_else(
    office: Office,
) -> None:
    told, conv = Told(office), await office.claimed()
    early = await msg_id(office, WANG, conv)
    await office.yes(WANG, "invite_participant", conv, realm="employee", person="bo")
    late = await msg_id(office, WANG, conv)
    head = office.head(f"conv:{conv}")
    told.flat.happened([rise(conv, ANN, 0, head), rise(conv, BO, 0, head)])

    await told.flat.flush()

    to = {
        (sign.data["msg_id"], sign.data["delivered_to"]): sign.to
        for sign in told.signs
        if sign.to != (WANG,)
    }
    assert to == {
        (early, "ann"): (ANN,),
        (late, "ann"): (ANN, BO),
        (late, "bo"): (ANN, BO),
    }


async def test_nothing_is_kept_where_nobody_asked_and_no_more_than_the_bound(
    office: Office,
) -> None:
    told, conv = Told(office), await office.claimed()
    mine = await msg_id(office, ANN, conv)
    told.is_wanted = False
    told.flat.happened([rise(conv, WANG, 0, 5)])
    await told.flat.flush()
    unasked = list(told.signs)
    told.is_wanted = True
    told.flat.happened([rise(conv, WANG, 0, 5)])
    told.flat.happened([rise("nowhere", WANG, 0, 5)] * 3)

    await told.flat.flush()

    assert (unasked, told.signs) == ([], [])
    told.flat.happened([rise(conv, WANG, 0, 5)])
    await told.flat.flush()
    assert told.statuses(Realm.AGENT)[-1] == (mine, "delivered")
