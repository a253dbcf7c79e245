from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flows.office import template
from tests.kit.conversations import sample
from tests.kit.databases import SqliteFile
from tests.kit.server import DeskServer, free_port
from tests.proofs.replay import Replay

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

CONVERSATIONS = 8
KILLS = 2
SEED = 20261128


@pytest.fixture(scope="module", autouse=True)
def _made() -> None:
    """The template is made off the loop."""
    template()


async def test_whole_conversations_come_out_as_they_were_said_and_staffs_words_stay_with_staff(
    tmp_path: Path,
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = DeskServer(tmp_path, run="serve", port=port, DESKWIRE_PUBLIC_URL=url)
    chosen = sample()[:CONVERSATIONS]
    with ExitStack() as stack:
        database = SqliteFile(server.data, template())
        stack.callback(database.close)
        replay = Replay(database, server, SEED)
        await replay.hired(chosen)
        stack.enter_context(server)
        await replay.play(chosen, KILLS, shown=lambda done: None)

    assert not replay.wrong, "\n" + "\n".join(replay.wrong)
    assert replay.seen["kills"] == KILLS
    assert replay.seen["compared"] == 3 * sum(len(each.lines) for each in chosen)
    assert replay.seen["canaries"] > CONVERSATIONS
