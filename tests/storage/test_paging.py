"""Pages meet, whatever the order of the list."""

from __future__ import annotations

import pytest

from deskwire.storage.paging import DISPATCH, NEWEST, NoCursor
from tests.flows.office import ANN, BO, LINA, MEI, Office, employee


async def test_the_queue_is_read_in_the_order_in_which_it_is_dispatched(office: Office) -> None:
    convs = []
    for n, who in enumerate((ANN, BO, MEI, employee("cy"))):
        office.now_ms += n % 2  # some wait equally long
        convs.append(await office.opened(who))
    await office.yes(LINA, "set_priority", convs[2], priority=3, version=0)
    found: list[str] = []
    after: str | None = None
    while not found or after:
        page = await office.views.rows(LINA, view="queue", after=after, limit=1)
        assert page is not None
        found += [row["conv_id"] for row in page["rows"]]
        after = page["next"]

    assert found == [convs[2], convs[0], convs[1], convs[3]]


def test_a_place_in_one_order_is_none_in_another() -> None:
    newest, dispatch = NEWEST.written((5, "id")), DISPATCH.written((1, 5, "IT-1"))

    assert NEWEST.read(newest) == (5, "id")
    assert DISPATCH.read(dispatch) == (1, 5, "IT-1")
    for order, after in ((NEWEST, dispatch), (DISPATCH, newest)):
        with pytest.raises(NoCursor):
            order.read(after)
