from __future__ import annotations

import json
from typing import Any

import pytest

from deskwire.desk.people import Principal
from deskwire.desk.refusals import Code, Refusal
from deskwire.flows.history import History
from deskwire.flows.trace import Traces
from deskwire.realtime.gate import ConnectionId
from deskwire.realtime.gate import Principal as Who
from deskwire.realtime.presence import Lease, MemoryPresence
from tests.flows.office import ANN, LINA, QIAN, START, WANG, Office, agent

ROOT = agent("root")
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
MARK = "INSERT INTO mark (stream_id, realm, person, delivered, read, at) VALUES (?, ?, ?, ?, ?, ?)"


class Asked:
    """The path over an office, and the connections that it hears of."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.registry = MemoryPresence()
        history = History(
            office.store,
            execute=office.execute,
            now=lambda: office.now_ms,
            new_id=office.new_id,
        )
        self.traces = Traces(
            office.store,
            clock=office.clock,
            registry=self.registry,
            is_partial=False,
            looked_in=history.opened,
        )

    async def of(self, msg_id: str) -> dict[str, Any]:
        """What an admin is told, readers by realm and person."""
        found = await self.traces.of(ROOT, msg_id)
        assert not isinstance(found, Refusal), found
        readers = found["readers"]
        return {
            **found,
            **{f"{each['principal']['realm']}:{each['principal']['id']}": each for each in readers},
        }


@pytest.fixture
async def asked(office: Office) -> Asked:
    return Asked(office)


async def test_a_message_is_followed_to_each_of_its_readers(office: Office, asked: Asked) -> None:
    office.here(WANG)
    conv = await office.claimed()
    msg_id = (await office.post(WANG, conv, "金丝雀")).result["msg_id"]
    place = office.one("SELECT position FROM message WHERE msg_id = ?", msg_id)

    before = await asked.of(msg_id)
    office.write(MARK, f"conv:{conv}", "employee", "ann", place, place - 1, START + 7)
    await asked.registry.hold(
        [Lease(connection=ConnectionId("c"), principal=Who(*ANN), node="n", node_start=1)]
    )
    after = await asked.of(msg_id)

    ann, wang = before["employee:ann"], before["agent:wang"]
    assert (before["position"], before["conv_id"], before["withdrawn"]) == (place, conv, None)
    assert (ann["socket"], ann["status"], ann["role"]) == ("lost", "sent", "requester")
    assert [(push["state"], push["due"]) for push in ann["pushes"]] == [("armed", START + 10_000)]
    assert (wang["socket"], wang["status"]) == ("connected", None)
    ann = after["employee:ann"]
    assert (ann["socket"], ann["status"]) == ("connected", "delivered")
    assert (ann["delivered"], ann["read"], ann["marked_at"]) == (place, place - 1, START + 7)
    assert "金丝雀" not in json.dumps(after)


@ON_SQLITE
async def test_what_wecom_said_of_a_push_is_told_with_its_reason(
    office: Office, asked: Asked
) -> None:
    conv = await office.claimed()
    msg_id = (await office.post(WANG, conv)).result["msg_id"]
    place = office.one("SELECT position FROM message WHERE msg_id = ?", msg_id)
    stream, head = f"conv:{conv}:staff", office.head(f"conv:{conv}:staff")
    for number, up_to in enumerate((place - 1, place), 1):
        data = {"person": "ann", "up_to": up_to, "reason": "not_a_member"}
        office.write(
            "INSERT INTO event VALUES (?, 'push.failed', 1, ?, ?)",
            f"failed-{number}", json.dumps({"data": data}).encode(), START + number,
        )  # fmt: skip
        office.write(
            "INSERT INTO stream_event VALUES (?, ?, ?, 0, NULL)",
            stream, head + number, f"failed-{number}",
        )  # fmt: skip
    office.write("UPDATE stream SET head = head + 2 WHERE stream_id = ?", stream)

    ann = (await asked.of(msg_id))["employee:ann"]

    failed = {"type": "push.failed", "at": START + 2, "reason": "not_a_member"}
    assert ann["outcomes"] == (failed,)


@ON_SQLITE
async def test_who_was_not_told_has_no_place(office: Office, asked: Asked) -> None:
    conv = await office.claimed()
    msg_id = (await office.post(WANG, conv)).result["msg_id"]
    guest = {"realm": "employee", "person": "bo"}
    await office.yes(WANG, "invite_participant", conv, **guest)

    bo = (await asked.of(msg_id))["employee:bo"]

    assert (bo["position"], bo["status"], bo["pushes"]) == (None, None, ())


async def test_a_note_is_followed_to_those_it_mentions(office: Office, asked: Asked) -> None:
    conv = await office.claimed()
    await office.yes(LINA, "join_conversation", conv)
    noted = await office.yes(WANG, "post_note", conv, body="看看", mentions=("lina",))

    told = await asked.of(noted.result["msg_id"])

    assert told["agent:lina"]["position"] == office.head("agent:lina")
    assert told["agent:lina"]["status"] == "sent"
    assert len(told["agent:lina"]["pushes"]) == 1
    assert told["employee:ann"]["position"] is None


@ON_SQLITE
async def test_a_look_from_outside_is_recorded(office: Office, asked: Asked) -> None:
    conv = await office.claimed()
    msg_id = (await office.post(WANG, conv)).result["msg_id"]

    for _ in range(2):
        await asked.of(msg_id)

    inspected = "SELECT count(*) FROM event WHERE type = 'conversation.inspected'"
    assert office.one(inspected) == 1


@ON_SQLITE
@pytest.mark.parametrize(
    "who, code",
    [
        (WANG, Code.NOT_ALLOWED),
        (LINA, Code.NOT_ALLOWED),
        (QIAN, Code.NOT_FOUND),
        (agent("nobody"), Code.NOT_FOUND),
    ],
)
async def test_only_an_admin_is_told(
    office: Office, asked: Asked, who: Principal, code: Code
) -> None:
    conv = await office.claimed()
    msg_id = (await office.post(WANG, conv)).result["msg_id"]

    refused = await asked.traces.of(who, msg_id)
    unknown = await asked.traces.of(ROOT, "nowhere")

    assert refused == Refusal(code)
    assert unknown == Refusal(Code.NOT_FOUND)
    assert office.one("SELECT count(*) FROM event WHERE type = 'conversation.inspected'") == 0
