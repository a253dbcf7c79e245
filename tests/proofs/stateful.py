"""Random commands by random people, connections, timers and jumps of the clock, on a real database.

A machine of Hypothesis: what breaks a law is shortened to the fewest steps that still break it. The
laws are looked at after each step, the log is folded at the end of each run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from deskwire.desk.people import PersonId, Principal, Realm
from deskwire.desk.refusals import Refusal
from deskwire.flows.attendance import Attendance
from deskwire.flows.execute import Accepted
from deskwire.flows.marks import Marks
from deskwire.realtime.connection import Closed, Opened
from deskwire.realtime.gate import Acked, ConnectionId, LoginId, MarkedRead
from deskwire.realtime.gate import Principal as Who
from deskwire.storage import doctor
from tests.flows.office import AGENTS, EMPLOYEES, Office, agent, employee
from tests.kit.databases import Database
from tests.proofs.laws import RECALL_MS, Laws, counts

_T = TypeVar("_T")

CAPACITY = 2
STEP_MS = 700
BY_STAFF: dict[str, dict[str, Any]] = {
    "claim_conversation": {},
    "join_conversation": {},
    "leave_conversation": {},
    "take_over": {"reason": "x"},
    "resume_conversation": {},
    "resolve_conversation": {},
    "requeue_conversation": {"reason": "x"},
    "close_conversation": {"reason": "x"},
    "post_message": {"kind": "text", "body": "在看"},
    "post_note": {"body": "内部", "mentions": ("chen",)},
}
BY_EMPLOYEES: dict[str, dict[str, Any]] = {
    "post_message": {"kind": "text", "body": "还是不行"},
    "cancel_conversation": {},
    "confirm_solved": {},
    "reopen_conversation": {"kind": "text", "body": "又坏了"},
    "rate_conversation": {"score": 4},
    "leave_conversation": {},
}
staff = st.sampled_from(sorted(AGENTS))
clients = st.sampled_from(EMPLOYEES)
which = st.integers(0, 5)


class Desk(RuleBasedStateMachine):
    """One life of a desk. `database` is set by who runs it."""

    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.database.reset()
        self.office = self._run(Office.at(self.database))
        self.laws = Laws(self.office)
        self.marks = Marks(self.office.store, sign=lambda _: None, now=lambda: self.office.now_ms)
        self.door = Attendance(
            self.office.store,
            execute=self.office.execute,
            clock=self.office.clock,
            new_id=self.office.new_id,
            due=self.office.wake,
        )
        self.convs: list[str] = []
        self.connections: dict[str, list[str]] = {}
        self.done: list[tuple[Principal, str, str, str | None, dict[str, Any], Accepted]] = []

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)

    @initialize(offers=st.booleans())
    def begins(self, offers: bool) -> None:
        self.office.write("UPDATE agent SET capacity = ?", CAPACITY)
        if offers:
            self.office.offering()

    # Commands -------------------------------------------------------------------------------------

    def _do(
        self, who: Principal, name: str, conv: str | None = None, **args: Any
    ) -> Accepted | Refusal:
        self.office.now_ms += STEP_MS
        command_id = self.office.new_id()
        answer = self._run(self.office.do(who, name, conv, command_id=command_id, **args))
        if isinstance(answer, Accepted):
            self.done.append((who, command_id, name, conv, args, answer))
        self._hold([*self.laws.look(), *self.laws.moved(name)])
        return answer

    def _hold(self, broken: list[str]) -> None:
        assert not broken, "\n" + "\n".join(broken)

    def _conv(self, number: int) -> str:
        return self.convs[number % len(self.convs)]

    @rule(name=clients, category=st.sampled_from(["network", "account", "printer"]))
    def opens(self, name: str, category: str) -> None:
        answer = self._do(
            employee(name), "open_conversation", category_id=category, kind="text", body="问"
        )
        if isinstance(answer, Accepted):
            self.convs.append(answer.result["conv_id"])

    @precondition(lambda self: self.convs)
    @rule(name=staff, deed=st.sampled_from(sorted(BY_STAFF)), number=which)
    def staff_does(self, name: str, deed: str, number: int) -> None:
        self._do(agent(name), deed, self._conv(number), **BY_STAFF[deed])

    @precondition(lambda self: self.convs)
    @rule(number=which, deed=st.sampled_from(["post_message", "resolve_conversation", "hold"]))
    def the_assignee_does(self, number: int, deed: str) -> None:
        conv = self._conv(number)
        found = self.office.one("SELECT assignee_id FROM conversation WHERE conv_id = ?", conv)
        who = agent(found or "wang")
        if deed == "hold":
            until = self.office.now_ms + 60_000
            self._do(who, "hold_conversation", conv, until=until, reason="x")
        else:
            self._do(who, deed, conv, **BY_STAFF[deed])

    @precondition(lambda self: self.convs)
    @rule(deed=st.sampled_from(sorted(BY_EMPLOYEES)), number=which)
    def the_requester_does(self, deed: str, number: int) -> None:
        conv = self._conv(number)
        who = self.office.one("SELECT requester_id FROM conversation WHERE conv_id = ?", conv)
        self._do(employee(who), deed, conv, **BY_EMPLOYEES[deed])

    @precondition(lambda self: self.convs)
    @rule(name=clients, deed=st.sampled_from(sorted(BY_EMPLOYEES)), number=which)
    def an_employee_does(self, name: str, deed: str, number: int) -> None:
        self._do(employee(name), deed, self._conv(number), **BY_EMPLOYEES[deed])

    @precondition(lambda self: self.convs)
    @rule(name=staff, onto=staff, number=which, stay=st.booleans(),
          how=st.sampled_from(["agent", "group", "assign"]))  # fmt: skip
    def hands_on(self, name: str, onto: str, number: int, stay: bool, how: str) -> None:
        conv, who = self._conv(number), agent(name)
        match how:
            case "agent":
                self._do(who, "transfer_to_agent", conv, agent=onto, note="x", stay=stay,
                         if_absent="wait" if number % 2 else "refuse")  # fmt: skip
            case "group":
                group = "facilities" if number % 2 else "support"
                self._do(who, "transfer_to_group", conv, group=group, note="x", stay=stay)
            case _:
                self._do(who, "assign_conversation", conv, agent=onto, reason="x")

    @precondition(lambda self: self.convs)
    @rule(number=which, accepts=st.booleans(), name=st.none() | staff)
    def answers_an_offer(self, number: int, accepts: bool, name: str | None) -> None:
        """Most often whoever is asked; now and then somebody else tries."""
        conv = self._conv(number)
        offer_id, asked = self.office.offer_of(conv) or ("none", "wang")
        how = "accept_offer" if accepts else "decline_offer"
        self._do(agent(name or asked), how, conv, offer_id=offer_id)

    @precondition(lambda self: self.convs)
    @rule(name=staff, person=clients | staff, number=which, comes=st.booleans(),
          shares=st.booleans())  # fmt: skip
    def brings_in(self, name: str, person: str, number: int, comes: bool, shares: bool) -> None:
        realm = "employee" if person in EMPLOYEES else "agent"
        args: dict[str, Any] = {"realm": realm, "person": person}
        if comes:
            args["share_history"] = shares
        deed = "invite_participant" if comes else "remove_participant"
        self._do(agent(name), deed, self._conv(number), **args)

    @precondition(lambda self: self.convs)
    @rule(name=staff, number=which, priority=st.integers(0, 3))
    def labels(self, name: str, number: int, priority: int) -> None:
        conv = self._conv(number)
        seen = self.office.one("SELECT label_version FROM conversation WHERE conv_id = ?", conv)
        self._do(agent(name), "set_priority", conv, priority=priority, version=seen)

    @precondition(lambda self: self.convs)
    @rule(number=which, back=which, who=st.none() | st.tuples(st.booleans(), staff, clients))
    def recalls(self, number: int, back: int, who: tuple[bool, str, str] | None) -> None:
        """I14: it succeeds for the author within the window, and otherwise never."""
        conv = self._conv(number)
        rows = self.office.sql(
            "SELECT msg_id, realm, person_id, at, withdrawn FROM message WHERE conv_id = ?"
            " ORDER BY at DESC, msg_id", conv,
        )  # fmt: skip
        msg_id, realm, person, at, withdrawn = rows[back % len(rows)]
        author = Principal(Realm(realm), PersonId(person))
        asker = author if who is None else agent(who[1]) if who[0] else employee(who[2])
        is_closed = self.office.status(conv) == "closed"
        answer = self._do(asker, "recall_message", conv, msg_id=msg_id)
        is_late = self.office.now_ms - at > RECALL_MS
        if isinstance(answer, Accepted) and withdrawn is None:
            assert asker == author, f"I14: {asker} recalled what {author} said"
            assert not is_late, f"I14: recalled {self.office.now_ms - at} ms later"
            assert not is_closed, "I14: recalled in what is closed"

    @precondition(lambda self: self.convs)
    @rule(number=which, back=which, name=staff)
    def redacts(self, number: int, back: int, name: str) -> None:
        conv = self._conv(number)
        rows = self.office.sql("SELECT msg_id FROM message WHERE conv_id = ?", conv)
        msg_id = rows[back % len(rows)][0]
        self._do(agent(name), "redact_message", conv, msg_id=msg_id, reason="x")

    @rule(name=staff, says=st.sampled_from(["online", "busy", "break", "offline"]),
          other=st.none() | staff)  # fmt: skip
    def is_available(self, name: str, says: str, other: str | None) -> None:
        self._do(agent(name), "set_availability", availability=says, agent=other)

    @precondition(lambda self: self.done)
    @rule(back=st.integers(0, 9))
    def says_it_again(self, back: int) -> None:
        """I8: the same id gives the same result, and nothing is written."""
        who, command_id, name, conv, args, first = self.done[-1 - back % len(self.done)]
        before = counts(self.office)
        again = self._run(self.office.do(who, name, conv, command_id=command_id, **args))
        assert isinstance(again, Accepted), f"I8: {name} again: {again}"
        assert again.replayed, f"I8: {name} took effect twice"
        assert dict(again.result) == dict(first.result), f"I8: {again.result}, not {first.result}"
        assert counts(self.office) == before, "I8: a repeat wrote something"

    # Connections, marks, time ---------------------------------------------------------------------

    @rule(name=staff, comes=st.booleans())
    def comes_or_goes(self, name: str, comes: bool) -> None:
        """I20: an end changes neither another connection nor what the agent says."""
        said = "SELECT person_id, availability FROM agent ORDER BY person_id"
        before, due = self.office.sql(said), self.office.armed("agent_lost")
        here = self.connections.setdefault(name, [])
        who = Who("agent", name)
        if comes:
            here.append(self.office.new_id())
            self.door.heard(Opened(connection=ConnectionId(here[-1]), who=who))
        elif here:
            gone = ConnectionId(here.pop())
            self.door.heard(Closed(connection=gone, who=who, code=1006, why=""))
        self._run(self.door.flush())
        assert self.office.sql(said) == before, "I20: a connection changed an availability"
        now = self.office.armed("agent_lost")
        others = {each: at for each, at in due.items() if each != name}
        assert {each: at for each, at in now.items() if each != name} == others, "I20"
        if here and not comes:
            # A node that has not looked for long may have lost the row before.
            held = now.get(name, 0) >= due.get(name, 0)
            assert held, "I20: one of several ended, and the agent counts as gone"
        self._hold([*self.laws.look(), *self.laws.moved(None)])

    @precondition(lambda self: self.convs)
    @rule(number=which, up_to=st.integers(0, 40), reads=st.booleans(), name=clients | staff,
          is_agent=st.booleans())  # fmt: skip
    def marks_it(self, number: int, up_to: int, reads: bool, name: str, is_agent: bool) -> None:
        stream = f"conv:{self._conv(number)}"
        who = Who("agent" if is_agent else "employee", name)
        at = ConnectionId("c")
        report = (
            MarkedRead(who=who, login=LoginId("l"), connection=at, stream=stream, position=up_to)
            if reads
            else Acked(who=who, login=LoginId("l"), connection=at, positions={stream: up_to})
        )
        self._run(self.marks.reported([report]))
        self._run(self.marks.flush())
        self._hold(self.laws.look())

    @rule(seconds=st.sampled_from([1, 16, 30, 100, 130, 400, 1_000, 50_000, 200_000]),
          beats=st.booleans())  # fmt: skip
    def time_passes(self, seconds: int, beats: bool) -> None:
        """A jump, with all that was due done; the node's look at who is there, or none."""
        self.office.now_ms += seconds * 1000
        if beats:
            self._run(self.door.beat())
        self._run(self.office.settle())
        self._hold([*self.laws.look(), *self.laws.moved(None)])

    async def _examined(self) -> list[str]:
        """The doctor, who was written apart from the laws, finds nothing either."""
        found = await doctor.examine(self.office.store, self.office.clock, is_sending=False)
        # Nobody here is said to be connected unless they come, nor moved on unless they beat.
        return [str(each) for each in found if each.is_broken and each.law != "I17"]

    def teardown(self) -> None:
        try:
            self._hold(self._run(self.laws.fold()))
            self._hold(self._run(self._examined()))
        finally:
            self._run(self.office.close())
            self._runner.close()


def machine(over: Database) -> type[Desk]:
    """The machine over this database, whose rows are put back before each run."""

    class OverDatabase(Desk):
        database = over

    return OverDatabase
