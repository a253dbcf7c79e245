from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk.marks import Mark, as_employees_see, raised, rises, status_of, unread
from deskwire.desk.messages import Said
from deskwire.desk.people import PersonId, Principal, Realm

positions = st.integers(0, 30)
reports = st.lists(st.tuples(positions, positions), max_size=8)
NOBODY = Mark(realm=Realm.AGENT, person="wang")


def told(mark: Mark, report: tuple[int, int], head: int = 20) -> Mark:
    delivered, read = report
    return raised(mark, delivered=delivered, read=read, head=head, now=mark.at + 1) or mark


def where(mark: Mark) -> tuple[int, int]:
    return mark.delivered, mark.read


@given(reports)
def test_a_mark_never_falls_and_never_passes_the_head(told_: list[tuple[int, int]]) -> None:
    mark = NOBODY
    for report in told_:
        after = told(mark, report)
        assert after.delivered >= mark.delivered
        assert after.read >= mark.read
        assert 0 <= after.read <= after.delivered <= 20
        mark = after


@given(reports, st.randoms(use_true_random=False))
def test_the_order_of_reports_makes_no_difference(
    told_: list[tuple[int, int]], chance: object
) -> None:
    shuffled = list(told_)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis hands over a Random

    assert where(reduce(told, told_, NOBODY)) == where(reduce(told, shuffled, NOBODY))


@given(reports)
def test_a_report_said_twice_says_nothing_new(told_: list[tuple[int, int]]) -> None:
    mark = reduce(told, told_, NOBODY)

    for delivered, read in told_:
        assert raised(mark, delivered=delivered, read=read, head=20, now=99) is None


def test_reading_lifts_delivery() -> None:
    assert where(told(NOBODY, (0, 7))) == (7, 7)


def test_a_report_beyond_the_head_counts_up_to_the_head() -> None:
    assert where(told(NOBODY, (2**60, 2**60), head=3)) == (3, 3)


def test_a_negative_report_moves_nothing() -> None:
    assert raised(NOBODY, delivered=-5, read=-5, head=3, now=1) is None


def test_employees_see_all_agents_as_one_reader() -> None:
    marks = [
        Mark(realm=Realm.AGENT, person="wang", delivered=5, read=2, at=10),
        Mark(realm=Realm.EMPLOYEE, person="ann", delivered=9, read=9, at=30),
        Mark(realm=Realm.AGENT, person="chen", delivered=4, read=4, at=20),
    ]

    seen = as_employees_see(marks)

    assert seen == [
        marks[1],
        Mark(realm=Realm.AGENT, person="staff", delivered=5, read=4, at=20),
    ]


def test_where_no_agent_has_read_there_is_no_staff_mark() -> None:
    assert as_employees_see([]) == []


SAID = [
    Said(msg_id="m-1", position=2, author=Principal(Realm.EMPLOYEE, PersonId("ann"))),
    Said(msg_id="m-2", position=4, author=Principal(Realm.AGENT, PersonId("wang"))),
    Said(msg_id="m-3", position=5, author=Principal(Realm.AGENT, PersonId("wang"))),
    Said(
        msg_id="m-4",
        position=6,
        author=Principal(Realm.AGENT, PersonId("wang")),
        is_withdrawn=True,
    ),
]


@pytest.mark.parametrize("read, count", [(0, 2), (3, 2), (4, 1), (5, 0), (9, 0)])
def test_what_others_wrote_above_the_read_mark_is_unread(read: int, count: int) -> None:
    assert unread(SAID, Principal(Realm.EMPLOYEE, PersonId("ann")), read) == count


def test_a_person_in_two_realms_has_two_numbers() -> None:
    as_agent = Principal(Realm.AGENT, PersonId("ann"))

    assert unread(SAID, as_agent, 0) == 3


@pytest.mark.parametrize("position, status", [(3, "read"), (4, "delivered"), (6, "sent")])
def test_a_message_has_come_as_far_as_the_marks_say(position: int, status: str) -> None:
    mark = Mark(realm=Realm.EMPLOYEE, person="ann", delivered=5, read=3)

    assert status_of(position, mark) == status


# Rises --------------------------------------------------------------------------------------------


def mark(realm: Realm, person: str, delivered: int, read: int) -> Mark:
    return Mark(realm=realm, person=person, delivered=delivered, read=read)


def test_a_rise_goes_from_where_the_mark_stood() -> None:
    ann = mark(Realm.EMPLOYEE, "ann", 3, 2)

    (rise,) = rises("c1", [ann, mark(Realm.EMPLOYEE, "bo", 9, 9)], [replace(ann, read=3)])

    assert (rise.conv, rise.who) == ("c1", Principal(Realm.EMPLOYEE, PersonId("ann")))
    assert (
        (rise.delivered, rise.read) == ((3, 3), (2, 3)) == (rise.shown_delivered, rise.shown_read)
    )


agents = st.lists(st.tuples(st.sampled_from("abc"), positions, positions), max_size=9)


@given(agents)
def test_employees_are_shown_every_rise_of_the_agents_together_once(
    reports_: list[tuple[str, int, int]],
) -> None:
    known = {name: Mark(realm=Realm.AGENT, person=name) for name in "abc"}
    before, risen = list(known.values()), []
    for name, *report in reports_:
        higher = told(known[name], (report[0], report[1]), head=30)
        if higher != known[name]:
            risen.append(higher)
            known[name] = higher

    found = rises("c1", before, risen)

    read = [each.shown_read for each in found]
    assert all(low <= high for low, high in read)
    assert [low for low, _ in read] == [0, *(high for _, high in read)][: len(read)]
    assert max((high for _, high in read), default=0) == max(m.read for m in known.values())
