from __future__ import annotations

from typing import Any

import pytest

from deskwire.flows.ephemeral import Signs
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import Acked, ConnectionId, LoginId, TypingSign, ViewingSign
from deskwire.realtime.gate import Principal as Who
from tests.flows.office import Office

FROM: Any = {
    "who": Who("agent", "wang"),
    "login": LoginId("l"),
    "connection": ConnectionId("c1"),
}
WANG_AS_SEEN = {"id": "wang", "name": "Wang", "avatar": None}


class Heard:
    def __init__(self, office: Office) -> None:
        self.signs: list[tuple[Ephemeral, ConnectionId]] = []
        self.flow = Signs(office.store, sign=lambda sign, origin: self.signs.append((sign, origin)))


@pytest.mark.parametrize("ending, mode", [("", "reply"), (":staff", "note")])
async def test_typing_is_told_with_a_name_to_all_but_its_sender(
    office: Office, ending: str, mode: str
) -> None:
    heard = Heard(office)
    stream = f"conv:{await office.claimed()}{ending}"

    await heard.flow.reported([TypingSign(**FROM, stream=stream, on=True)])

    ((sign, origin),) = heard.signs
    assert origin == "c1"
    assert (sign.stream, sign.type, sign.key) == (stream, "typing", "typing:agent:wang")
    assert sign.ttl_ms == 6_000
    assert (sign.data["by"], sign.data["mode"]) == (WANG_AS_SEEN, mode)


async def test_who_only_looks_on_is_not_seen_typing_by_those_who_take_part(office: Office) -> None:
    heard = Heard(office)
    stream = f"conv:{await office.claimed()}"
    onlooker: Any = {**FROM, "who": Who("agent", "chen")}

    await heard.flow.reported(
        [
            TypingSign(**onlooker, stream=stream, on=True),
            TypingSign(**onlooker, stream="conv:nowhere", on=True),
        ]
    )

    assert not heard.signs


async def test_typing_that_stops_is_over_at_once(office: Office) -> None:
    heard = Heard(office)
    stream = f"conv:{await office.claimed()}"

    await heard.flow.reported([TypingSign(**FROM, stream=stream, on=False)])

    assert heard.signs[0][0].ttl_ms == 0


async def test_viewing_is_told_to_staff_alone(office: Office) -> None:
    heard = Heard(office)

    await heard.flow.reported(
        [
            ViewingSign(**FROM, stream="conv:x:staff", on=True),
            ViewingSign(**FROM, stream="conv:x", on=True),
        ]
    )

    ((sign, _),) = heard.signs
    assert (sign.stream, sign.key, sign.ttl_ms) == ("conv:x:staff", "viewing:agent:wang", 30_000)
    assert sign.data["agent"] == WANG_AS_SEEN


async def test_other_streams_and_other_reports_are_not_told(office: Office) -> None:
    heard = Heard(office)

    await heard.flow.reported(
        [
            TypingSign(**FROM, stream="queue:support", on=True),
            TypingSign(**FROM, stream="employee:ann", on=True),
            Acked(**FROM, positions={"conv:x": 1}),
        ]
    )

    assert heard.signs == []
