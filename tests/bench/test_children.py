"""The two processes of a weighing: whoever ends or does not answer is named, and none stays."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

import pytest

from deskwire.bench import children
from deskwire.bench.children import Child, Stands

pytestmark = pytest.mark.system


def ends(pipe: Connection, core: int | None) -> None:
    pipe.close()


def is_silent(pipe: Connection, core: int | None) -> None:
    pipe.send({"ready": True})
    while True:
        pipe.recv()


def says_where_it_is(pipe: Connection, core: int | None) -> None:
    while True:
        pipe.send(pipe.recv() | {"at": time.monotonic_ns(), "core": core})


def test_one_that_ends_is_named() -> None:
    child = Child("server", ends, None)

    with pytest.raises(Stands, match="The server has ended"):
        child.ask(30, do="stand")

    child.end()


def test_one_that_does_not_answer_is_named_after_the_time_it_was_given() -> None:
    child = Child("load", is_silent, None)
    child.hear(30)

    with pytest.raises(Stands, match="The load did not answer"):
        child.ask(0.1, do="stand")

    child.end()


def test_a_message_may_have_any_field() -> None:
    child = Child("load", says_where_it_is, 0)

    found = child.ask(30, do="end", wait_s=5, name="x")

    assert (found["do"], found["wait_s"], found["name"], found["core"]) == ("end", 5, "x", 0)
    child.end()


def test_a_server_that_ends_at_once_ends_the_weighing_and_its_load() -> None:
    with pytest.raises(Stands, match="The server has ended"), children.pair(ends):
        pass
