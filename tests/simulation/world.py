"""The simulated world: nodes, clients, apps and a store, and everything that happens to them.

`World(plan).run()` lives through a plan, heals all faults, and demands that within 60 s everybody
is at the head of all they may see. What must hold is said in the rules' names; see `oracle.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from deskwire.realtime import frames
from deskwire.realtime.bus import Faults, Hall, Ring
from deskwire.realtime.frames import Ephemeral, Framed
from deskwire.realtime.gate import LoginId, Permit, Principal
from deskwire.realtime.limits import Limits
from deskwire.realtime.log import MemoryPage, Stream
from deskwire.realtime.presence import MemoryPresence
from tests.kit.simloop import SimLoop
from tests.simulation.client import Book, Client, Snapshot
from tests.simulation.network import Road, Wire
from tests.simulation.nodes import Life, NodeDied, Ordered
from tests.simulation.oracle import Oracle
from tests.simulation.plain import NAMES, STUCK_S, payload
from tests.simulation.plan import Action, Plan
from tests.simulation.store import (
    FAIR_LAG_S,
    VOIDED,
    Aborted,
    Store,
    StoreFault,
    StorePort,
    Weather,
    body_of,
)

HEAL_S = 60
BIG_BYTES = (20_000, 60_000)


class World:
    client_type: type[Client] = Client  # a planted bug puts a worse one here

    def __init__(self, plan: Plan, loop: SimLoop, oracle: Oracle) -> None:
        self.plan = plan
        self.loop = loop
        self.oracle = oracle
        self.streams = [f"conv:{n}" for n in range(plan.streams)]
        self.dice = Random(f"world {plan.seed}")
        self.store = Store(oracle, self.streams)
        self.weather = Weather(lag_s=plan.store_lag_s)
        self.hall = Hall()
        self.limits = Limits(**plan.limits)
        self.presence = MemoryPresence(clock=loop.time)
        self.presence._readers = Ordered()  # type: ignore[assignment]
        self.lives: list[Life] = []
        self.generations = 0
        self.faults = [self._bus_faults() for _ in range(plan.nodes)]
        self.clients: list[Client] = []
        self.forged_logins: set[LoginId] = set()
        self.accepted: set[str] = set()
        self.writing = 0
        self.healed = False
        self.numbers = 0
        self.stalls = 0

    def _bus_faults(self) -> Faults:
        plan = self.plan
        return Faults(loss=plan.bus_loss, doubling=plan.bus_doubling, delay_s_max=plan.bus_delay_s)

    # --- the run --------------------------------------------------------------------------------

    async def run(self) -> None:
        await self._live()
        self.oracle.is_over = True

    async def _live(self) -> None:
        self._people_come()
        for index in range(self.plan.nodes):
            self.lives.append(self._new_life(index))
        for life in self.lives:
            life.start_task(life.start())
        self.loop.after_turn = self._after_turn
        self.loop.call_later(1.0, self._every_second)
        for client in self.clients:
            client.come(self.dice.random())
        for action in self.plan.actions:
            await asyncio.sleep(max(0.0, action.at_s - self.loop.time()))
            if self.oracle.violation is not None:
                return
            self._do(action)
        if any(kind.startswith("plain") for kind in self.plan.faults):
            await asyncio.sleep(STUCK_S + 5)  # whoever is stuck has to be closed by then
        await self._heal()
        for _ in range(HEAL_S):
            await asyncio.sleep(1)
            if self.oracle.violation is not None or not self._behind():
                break
        self._judge()

    def _people_come(self) -> None:
        for number in range(self.plan.people):
            realm = "agent" if number % 2 else "employee"
            who = Principal(realm, f"p{number}")
            for stream in self.streams:
                if self.dice.random() < 0.7:
                    self.store.allow(who, stream, Permit())
            for tab in range(self.dice.randint(1, self.plan.tabs)):
                login = LoginId(f"login-{number}-{tab if self.dice.random() < 0.5 else 0}")
                client = self.client_type(
                    f"p{number}.{tab}", who, login, f"device-{number}-{tab}", f"tab-{tab:05}",
                    self, Random(f"client {self.plan.seed} {number} {tab}"),
                )  # fmt: skip
                client.wanted = {
                    stream: self.dice.choice((None, [None, 0], [None, 0]))
                    for stream in self.streams
                    if self.dice.random() < 0.8
                }
                self.clients.append(client)

    def _new_life(self, index: int) -> Life:
        self.generations += 1
        dice = Random(f"life {self.plan.seed} {self.generations}")
        port = StorePort(self.store, self.weather, Random(dice.random()))
        port.acked = self._acked
        life = Life(
            f"n{index}.{self.generations}", self.oracle, port, self.hall, self.faults[index],
            self.presence, self.limits, dice, many=self.plan.policy_many,
        )  # fmt: skip
        life.plain.stalls = self.stalls
        return life

    def _do(self, action: Action) -> None:
        self.oracle.note(f"do {action.kind}")
        self.oracle.count(f"do {action.kind}")
        dice = Random(action.roll)
        getattr(self, f"_do_{action.kind}")(dice)
        if action.kind.startswith("plain"):
            for life in self.lives:
                if not life.dead:
                    life.plain.check()

    def _after_turn(self) -> None:
        if self.oracle.stepped:
            self.oracle.stepped = False
            for life in self.lives:
                life.check_registry()

    def _every_second(self) -> None:
        for life in self.lives:
            if not life.dead:
                life.check_indexes()
        self.loop.call_later(1.0, self._every_second)

    async def _heal(self) -> None:
        self.oracle.note("heal")
        self.healed = True
        # A store that stays slow would be no fault, where four events may be held at a time.
        self.weather.fault, self.weather.away_until, self.weather.lag_s = 0.0, 0.0, FAIR_LAG_S
        for faults in self.faults:
            faults.loss = faults.doubling = faults.delay_s_max = 0.0
            faults.deaf = False
        for index, life in enumerate(self.lives):
            if life.dead:
                self._restart(index)
            for wire in life.wires:
                wire.heal()
            life.plain.flow()
        for client in self.clients:
            if client.wire is not None:
                client.wire.heal()  # its node may not have taken it yet
            if client.forges and client.wire is not None:
                client.die()  # an honest one takes its place
            if client.away or client.stopped is not None:
                client.tab = f"{client.tab[:9]}-healed"  # 在此使用
                client.come(self.dice.random() * 2)

    def _behind(self) -> str:
        """Who is not where they should be, and why."""
        if self.writing:
            return f"{self.writing} writers still wait for an answer"
        for life in self.lives:
            if not life.accepting:
                return f"{life.name} is not up"
        return next(filter(None, (self._client_behind(each) for each in self.clients)), "")

    def _client_behind(self, client: Client) -> str:
        if client.login in self.store.login_ends:
            open_still = client.wire is not None and client.wire.is_open
            return f"{client.name} is logged out and connected" if open_still else ""
        if client.wire is None:
            return f"{client.name} is not connected"
        for stream in client.wanted:
            head = self.store.head_for(client.who, client.login, stream)
            book = client.saved.get(stream)
            if head is None:
                return f"{client.name} still wants {stream}, which it may not see"
            if book is None:
                return f"{client.name} has nothing of {stream}"
            if book.epoch != self.store.lines[stream].epoch:
                return f"{client.name} holds {stream} of {book.epoch}"
            if book.position != max(head, book.first - 1):
                return f"{client.name} is at {book.position} of {head} in {stream}"
        return ""

    def _judge(self) -> None:
        if self.oracle.violation is not None:
            return
        behind = self._behind()
        self.oracle.demand(not behind, "everybody_is_at_head_within_60_s", behind)
        lost = self.accepted - self.store.commands.keys()
        self.oracle.demand(not lost, "what_was_accepted_is_stored", str(sorted(lost)[:5]))
        for client in self.clients:
            for stream, book in client.held.items():
                self._compare(client, stream, book)
        for life in self.lives:
            life.check_indexes()
            if not life.dead:
                life.plain.check_at_rest()
        self.oracle.note("end")

    def _compare(self, client: Client, stream: Stream, book: Book) -> None:
        """fold(events) = what the store has: a gapless prefix of what it may see."""
        self.oracle.demand(
            len(book.ids) == book.position - book.first + 1, "every_applied_list_is_contiguous",
            f"{client.name} {stream}: {len(book.ids)} for {book.first} … {book.position}",
        )  # fmt: skip
        for offset, event_id in enumerate(book.ids):
            self._is_true(client, stream, book.epoch, book.first + offset, event_id)

    def _is_true(
        self, client: Client, stream: Stream, epoch: str, position: int, event_id: str
    ) -> None:
        truth = self.store.event(stream, epoch, position)
        fine = truth is not None and (
            event_id == truth.id
            or (event_id == VOIDED and (stream, position) in self.store.voided)
            or (event_id.startswith("unreadable:") and truth.id.startswith("poison"))
        )
        self.oracle.demand(
            fine, "what_is_applied_is_what_was_committed",
            f"{client.name} {stream} {epoch} {position}: {event_id} is not {truth}",
        )  # fmt: skip

    # --- what clients ask of their surroundings -------------------------------------------------

    def connect(self, client: Client) -> Wire | None:
        """A node that takes connections, by chance; None if none does or the login ended."""
        if client.login in self.store.login_ends:
            client.stopped = 4500
            return None
        lives = [life for life in self.lives if life.accepting]
        if not lives:
            return None
        life = client.dice.choice(lives)
        self.numbers += 1
        road = Road(self.plan.network_lag_s, self.plan.chunk_bytes)
        if self.healed:
            road = Road()
        dice = Random(f"wire {self.plan.seed} {client.name} {self.numbers}")
        wire = Wire(client, self, road, dice, name=f"{client.name}#{self.numbers}@{life.name}",
                    capacity=self.limits.waiting_bytes)  # fmt: skip
        self.loop.call_later(wire._lag(), life.serve, wire, client)
        return wire

    def snapshot(
        self, client: Client, stream: Stream, take: Callable[[Snapshot | None], None]
    ) -> None:
        def read() -> None:
            snapshot = self.store.snapshot(client.who, client.login, stream)
            self.loop.call_later(client.dice.random() * 0.05, take, snapshot)

        self.loop.call_later(client.dice.random() * 0.05, read)

    def applied(self, client: Client, stream: Stream, book: Book, event_id: str) -> None:
        self.oracle.note(f"{client.name} applies {stream} {book.position} {event_id}")
        self.oracle.count("applied")
        self.oracle.demand(
            len(book.ids) == book.position - book.first + 1, "every_applied_list_is_contiguous",
            f"{client.name} {stream} {book.position}",
        )  # fmt: skip
        self._is_true(client, stream, book.epoch, book.position, event_id)

    def loaded(self, client: Client, stream: Stream, book: Book) -> None:
        self.oracle.note(f"{client.name} loads {stream} {book.epoch} {book.position}")
        self.oracle.count("snapshots")
        self._compare(client, stream, book)

    def answered(self, client: Client, stream: Stream, watched: frames.Watched) -> None:
        places = client.asked.get(stream, [])
        named = [watched.epoch, watched.position] in places
        self.oracle.demand(
            named or None in places or [None, 0] in places or client.forges,
            "a_watch_takes_up_where_its_client_stands", f"{client.name} {watched} of {places}",
        )  # fmt: skip

    def closed(self, client: Client, wire: Wire, code: int, bye: int | None) -> None:
        self.oracle.note(f"{client.name} closed {code} {bye}")
        self.oracle.count(f"closed {code if bye is None else bye}")
        if (bye or code) in (4501, 4502, 4503, 4007) and not client.forges:
            self.oracle.violate(
                "an_honest_client_is_never_at_fault",
                f"{client.name} {wire.name} closed {bye or code}",
            )

        if self.healed:
            self.loop.call_later(1.0, self._is_used_here, client)

    def _is_used_here(self, client: Client) -> None:
        """Its user, told that it was closed for good, clicks 在此使用."""
        if client.stopped is not None and client.login not in self.store.login_ends:
            client.come()

    def note(self, what: str) -> None:
        self.oracle.note(what)

    def violate(self, rule: str, what: str) -> None:
        self.oracle.violate(rule, what)

    # --- what the network sees ------------------------------------------------------------------

    def wrote(self, wire: Wire, frame: Framed, room: int) -> None:
        """Before the bytes leave: D1, D4, D6, room, and the entitlement of every event."""
        demand = self.oracle.demand
        demand(frame.size <= room, "written_with_room_only", f"{wire.name} {frame} into {room}")
        demand(wire.bye is None, "after_bye_only_the_close", f"{wire.name} {frame}")
        for down in frames.decode_down(frame.json):
            match down:
                case frames.Event():
                    self._wrote_event(wire, down)
                case frames.Watched():
                    wire.places[down.stream] = (down.epoch, down.position)
                case frames.Unwatched() | frames.Reset():
                    wire.places.pop(down.stream, None)
                case frames.Live():
                    known = wire.places.get(down.stream, ("", -1))[1]
                    demand(known == down.position, "live_never_overtakes_replay",
                           f"{wire.name} {down.stream} {down.position} at {known}")  # fmt: skip
                case frames.Bye():
                    wire.bye = down.code
                case _:
                    pass

    def _wrote_event(self, wire: Wire, event: frames.Event) -> None:
        stream, position = event.stream, event.position
        epoch, sent = wire.places.get(stream, ("", -1))
        self.oracle.demand(
            position == sent + 1, "positions_are_dense_and_in_commit_order",
            f"{wire.name} {stream} {position} after {sent}",
        )  # fmt: skip
        wire.places[stream] = (epoch, position)
        client = wire.far
        assert isinstance(client, Client)
        truth = self.store.event(stream, epoch, position)
        self.oracle.demand(truth is not None, "only_what_was_committed_is_written", wire.name)
        self.oracle.demand(
            truth is None or self.store.entitled(client.who, client.login, stream, truth, position),
            "nothing_committed_after_a_revocation_is_written",
            f"{wire.name} {stream} {position} {truth}",
        )

    def closes(self, wire: Wire, code: int) -> None:
        self.oracle.demand(
            wire.bye == code,
            "a_close_is_always_bye_then_the_code",
            f"{wire.name} {code} {wire.last}",
        )

    def _acked(self, who: Principal, login: LoginId, stream: Stream, position: int) -> None:
        """A mark says that somebody has it, for good."""
        mine = [client for client in self.clients if client.login == login]
        if login in self.forged_logins:
            return
        best = max(
            (n for client in mine for (s, _), n in client.best_saved.items() if s == stream),
            default=0,
        )
        fresh = any(client.saved.get(stream) is None for client in mine)
        self.oracle.demand(
            position <= best or fresh, "an_ack_says_what_was_saved",
            f"{who.person} {stream} {position}, saved {best}",
        )  # fmt: skip

    # --- writing --------------------------------------------------------------------------------

    def _do_commit(self, dice: Random) -> None:
        self.numbers += 1
        number = self.numbers
        stream = dice.choice(self.streams)
        poisoned = dice.random() < self.plan.poison
        event_id = f"{'poison' if poisoned else 'e'}{number}"
        size = dice.randint(*BIG_BYTES) if dice.random() < self.plan.big else dice.randint(0, 200)
        voids = None
        if dice.random() < self.plan.voids and self.store.lines[stream].events:
            voids = dice.randint(1, len(self.store.lines[stream].events))
        body = body_of(event_id, size, poisoned=poisoned)
        self.writing += 1
        self.loop.create_task(
            self._write(f"c{number}", stream, body, event_id, voids, dice), name=f"write {number}"
        )

    async def _write(
        self, command: str, stream: Stream, body: bytes, event_id: str, voids: int | None,
        dice: Random,
    ) -> None:  # fmt: skip
        """A user's command: tried again with the same id until somebody says accepted."""
        while True:
            lives = [life for life in self.lives if not life.dead]
            if lives:
                life = dice.choice(lives)
                task = life.start_task(
                    self._execute(life, command, stream, body, event_id, voids, dice)
                )
                await asyncio.wait((task,))
                if not task.cancelled() and task.exception() is None:
                    break
            await asyncio.sleep(0.2 + dice.random() * 0.2)
        self.accepted.add(command)
        self.writing -= 1

    async def _execute(
        self, life: Life, command: str, stream: Stream, body: bytes, event_id: str,
        voids: int | None, dice: Random,
    ) -> None:  # fmt: skip
        """One node's way of a command: commit, reply, ring; it may die between any two."""
        page: MemoryPage | None = None

        def take() -> int:
            return self.store.commit(command, stream, body, event_id, voids)

        self._maybe_crash(life, dice)
        try:
            position = await life.port.call(take)
            if dice.random() < self.plan.commit_unknown:
                position = await life.port.call(take)
        except StoreFault:
            raise Aborted from None  # or committed: the same id is tried again
        self._maybe_crash(life, dice)
        if dice.random() < self.plan.hands_page:
            try:
                page = await life.port.read(stream, position - 1)
            except StoreFault:
                page = None
        if not life.dead:
            life.manager.ring(stream, position, page)
            self._maybe_crash(life, dice)

    def _maybe_crash(self, life: Life, dice: Random) -> None:
        if dice.random() < self.plan.crash_points and not self.healed:
            self._kill(life)
        if life.dead:
            raise NodeDied

    # --- faults ---------------------------------------------------------------------------------

    def _some(self, dice: Random) -> Client:
        return dice.choice(self.clients)

    def _some_wire(self, dice: Random) -> Wire | None:
        wires = [client.wire for client in self.clients if client.wire is not None]
        return dice.choice(wires) if wires else None

    def _alive(self, dice: Random) -> Life | None:
        lives = [life for life in self.lives if not life.dead]
        return dice.choice(lives) if lives else None

    def _do_cut(self, dice: Random) -> None:
        wire = self._some_wire(dice)
        if wire is not None:
            wire.cut()

    def _do_half_open(self, dice: Random) -> None:
        wire = self._some_wire(dice)
        if wire is not None:
            wire.half_open = True

    def _do_deaf_up(self, dice: Random) -> None:
        wire = self._some_wire(dice)
        if wire is not None:
            wire.deaf_up = True

    def _do_stall(self, dice: Random) -> None:
        wire = self._some_wire(dice)
        if wire is not None:
            wire.stall(dice.choice((0.5, 5.0, 15.0, 40.0)))

    def _do_trickle(self, dice: Random) -> None:
        wire = self._some_wire(dice)
        if wire is not None:
            wire.road = Road(dice.choice((0.05, 0.5)), dice.choice((30, 400, 4_000)))

    def _do_client_dies(self, dice: Random) -> None:
        self._some(dice).die()

    def _do_client_away(self, dice: Random) -> None:
        client = self._some(dice)
        client.leave()
        self.loop.call_later(dice.choice((1.0, 10.0, 100.0)), self._returns, client)

    def _returns(self, client: Client) -> None:
        if client.away:
            client.come()

    def _do_client_double(self, dice: Random) -> None:
        self._some(dice).double()

    def _do_client_forges(self, dice: Random) -> None:
        client = self._some(dice)
        self.forged_logins.add(client.login)
        client.forge()

    def _do_client_loses_storage(self, dice: Random) -> None:
        client = self._some(dice)
        client.saved.clear()
        client.die()

    def _kill(self, life: Life) -> None:
        life.crash()
        self._restart_later(self.lives.index(life), 1.0)

    def _restart_later(self, index: int, seconds: float) -> None:
        self.loop.call_later(seconds, self._restart, index)

    def _restart(self, index: int) -> None:
        if self.lives[index].dead:
            self.lives[index] = self._new_life(index)
            self.lives[index].start_task(self.lives[index].start())

    def _do_crash(self, dice: Random) -> None:
        life = self._alive(dice)
        if life is not None:
            life.crash()
            self._restart_later(self.lives.index(life), dice.choice((0.1, 3.0, 20.0)))

    def _do_drain(self, dice: Random) -> None:
        life = self._alive(dice)
        if life is not None and life.accepting:
            index = self.lives.index(life)
            window_s = dice.choice((0.0, 2.0, 20.0))

            async def drain() -> None:
                await life.drain(window_s)
                self._restart_later(index, 1.0)

            life.start_task(drain())

    def _do_bus_loses(self, dice: Random) -> None:
        faults = dice.choice(self.faults)
        faults.loss = dice.choice((0.0, 0.5, 1.0))
        faults.delay_s_max = dice.choice((0.0, 0.2, 5.0))

    def _do_bus_deaf(self, dice: Random) -> None:
        faults = dice.choice(self.faults)
        faults.deaf = not faults.deaf

    def _do_bus_lies(self, dice: Random) -> None:
        """Rings for what is not there, or not yet."""
        life = self._alive(dice)
        if life is not None:
            stream = dice.choice([*self.streams, "conv:unknown"])
            life.bus.ring((Ring(stream=stream, position=dice.choice((0, 1, 7, 10**6))),))

    def _do_store_away(self, dice: Random) -> None:
        self.weather.away_until = self.loop.time() + dice.choice((0.3, 3.0, 12.0))
        self.weather.hangs = dice.random() < 0.5

    def _do_store_faults(self, dice: Random) -> None:
        self.weather.fault = dice.choice((0.0, 0.02, 0.2))

    def _do_restore(self, dice: Random) -> None:
        stream = dice.choice(self.streams)
        head = len(self.store.lines[stream].events)
        self.store.restore(stream, max(0, head - dice.choice((0, 1, 5, 50))))

    def _do_trim(self, dice: Random) -> None:
        self.store.trim(dice.choice(self.streams), dice.choice((0, 1, 5, 30)))

    # --- rights ---------------------------------------------------------------------------------

    def _do_allow(self, dice: Random) -> None:
        client = self._some(dice)
        stream = dice.choice(self.streams)
        head = len(self.store.lines[stream].events)
        right = self.store.rights.get((client.who, stream))
        if right is None or right.now is None or right.now.until is not None:
            self.store.allow(client.who, stream, Permit(after=dice.choice((0, head))))
            self._hurry(client.who, dice)
        for each in self.clients:
            if each.who == client.who:
                if stream in each.wanted:
                    each._watch(stream)  # told on its personal stream, as a desk does
                each.want(stream, dice.choice((None, [None, 0])))

    def _do_revoke(self, dice: Random) -> None:
        self._narrow(dice, leaves=False)

    def _do_leave(self, dice: Random) -> None:
        self._narrow(dice, leaves=True)

    def _narrow(self, dice: Random, *, leaves: bool) -> None:
        who = self._some(dice).who
        self.store.narrow(who, dice.choice(self.streams), leaves=leaves)
        self._hurry(who, dice)

    def _hurry(self, who: Principal, dice: Random) -> None:
        """A node tells the others; or it died before it could."""
        life = self._alive(dice)
        if life is not None and dice.random() < 0.7:
            life.start_task(self._recheck(life, who))

    async def _recheck(self, life: Life, who: Principal) -> None:
        try:
            await life.manager.recheck(who)
        except StoreFault:
            self.oracle.count("recheck failed")

    def _do_end_login(self, dice: Random) -> None:
        client = self._some(dice)
        self.store.end_login(client.login, client.who)
        life = self._alive(dice)
        if life is not None and dice.random() < 0.7:
            life.start_task(life.manager.end_login(client.login))

    def _do_kick(self, dice: Random) -> None:
        life = self._alive(dice)
        if life is not None:
            life.start_task(life.manager.kick(self._some(dice).who))

    def _do_recheck(self, dice: Random) -> None:
        self._hurry(self._some(dice).who, dice)

    # --- signs, probes, odds and ends -----------------------------------------------------------

    def _do_sign(self, dice: Random) -> None:
        life = self._alive(dice)
        if life is not None:
            for _ in range(dice.choice((1, 1, 100))):
                life.manager.sign(
                    Ephemeral(
                        stream=dice.choice(self.streams), type=dice.choice(("typing", "marks")),
                        key=f"k:{dice.randint(0, 90)}", ttl_ms=dice.choice((None, 6_000)),
                        data={"x": "x" * dice.choice((0, 3_000))},
                    )
                )  # fmt: skip

    def _do_chat(self, dice: Random) -> None:
        self._some(dice).chat()

    def _do_probe(self, dice: Random) -> None:
        self._some(dice).probe()

    def _do_unwatch(self, dice: Random) -> None:
        self._some(dice).unwant(dice.choice(self.streams))

    def _do_watch_again(self, dice: Random) -> None:
        client = self._some(dice)
        for stream in client.wanted:
            client._watch(stream)

    def _do_clock_jumps(self, dice: Random) -> None:
        self.loop.wall_offset_s += dice.choice((-3_600.0, 3_600.0))

    def _do_loop_stalls(self, dice: Random) -> None:
        self.stalls += 1
        for life in self.lives:
            life.plain.stalls += 1
        self.loop.stall(dice.choice((1.0, 5.0)))

    # --- the baseline's side --------------------------------------------------------------------

    def _app(self, dice: Random) -> Any:
        life = self._alive(dice)
        return None if life is None else life.plain

    def _said(self, dice: Random) -> str:
        name = dice.choice(NAMES)
        return dice.choice((name, name, name.lower(), name.upper()))

    def _do_plain_connect(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            realm, said = dice.choice(("agent", "employee")), self._said(dice)
            for _ in range(dice.choice((1, 1, 2))):  # two at once, as a page that reloads does
                app.connect(realm, said)

    def _peer(self, dice: Random) -> Any:
        app = self._app(dice)
        peers = [] if app is None else [each for each in app.peers if each.connected]
        return dice.choice(peers) if peers else None

    def _do_plain_gone(self, dice: Random) -> None:
        peer = self._peer(dice)
        if peer is not None:
            peer.socket.leave()

    def _do_plain_breaks(self, dice: Random) -> None:
        """Sends fail at once; that it left is heard of late."""
        peer = self._peer(dice)
        if peer is not None:
            peer.socket.fails = True
            self.loop.call_later(dice.choice((0.1, 2.0)), peer.socket.leave)

    def _do_plain_stall(self, dice: Random) -> None:
        app = self._app(dice)
        peers = [] if app is None else [each for each in app.peers if each.connected]
        if peers:
            peer = dice.choice(peers)
            peer.socket.stall()
            self.loop.call_later(dice.choice((0.05, 3.0, 30.0)), peer.socket.flow)
            for _ in range(dice.choice((0, 1, 3))):
                app.send(peer.realm, peer.said, self._payload(dice))

    def _payload(self, dice: Random) -> dict[str, Any]:
        self.numbers += 1
        return payload(self.numbers, dice)

    def _do_plain_send(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            for _ in range(dice.choice((1, 1, 3, 12))):
                realm = dice.choice(("agent", "employee"))
                app.send(realm, self._said(dice), self._payload(dice))

    def _do_plain_list(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            said = [self._said(dice) for _ in range(dice.randint(0, 4))]
            app.to_list(said, self._payload(dice))

    def _do_plain_broadcast(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            app.broadcast(self._payload(dice))

    def _do_plain_cancelled(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            app.broadcast(self._payload(dice), cancelled=True)

    def _do_plain_status(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            self.numbers += 1
            said = [self._said(dice) for _ in range(dice.randint(0, 4))]
            extra = dice.choice(({}, {"type": "forged", "note": 1}, {"msg_id": "other"}))
            app.status(said, dict(extra), self.numbers)

    def _do_plain_poison(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            app.poison(self._said(dice))

    def _do_plain_disconnect(self, dice: Random) -> None:
        app = self._app(dice)
        if app is not None:
            app.disconnect_all(dice.choice(("agent", "employee")), self._said(dice))
