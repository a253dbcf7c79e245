from __future__ import annotations

from deskwire.storage import figures
from deskwire.storage.figures import Figures
from tests.flows.office import ANN, BO, MEI, START, Office


async def test_a_page_follows_the_other_also_where_several_began_at_once(office: Office) -> None:
    for who in (ANN, BO, MEI):
        await office.opened(who)
    found: list[Figures] = []
    page: list[Figures] = []
    while not found or page:
        after = (found[-1].opened_at, found[-1].conv_id) if found else None
        async with office.store.reading() as conn:
            page = await figures.opened_between(
                conn, groups=None, start=START, end=START + 1, after=after, limit=2
            )
        found += page

    assert [each.conv_id for each in found] == sorted(each.conv_id for each in found)
    assert len({each.conv_id for each in found}) == 3


async def test_no_group_is_nobodys_and_not_everybodys(office: Office) -> None:
    await office.opened()

    async with office.store.reading() as conn:
        found = await figures.opened_between(conn, groups=(), start=0, end=START + 1)

    assert found == []
