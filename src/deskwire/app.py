"""The one place that builds and joins; it owns start-up, drain and shutdown."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from deskwire import telemetry
from deskwire.desk.deadlines import TimerKind
from deskwire.desk.events import Stream
from deskwire.desk.people import LOGIN_REALMS, PersonId, Principal, Realm
from deskwire.desk.refusals import Refusal
from deskwire.flows.attendance import Attendance
from deskwire.flows.clean import Cleaning
from deskwire.flows.dispatch import Dispatcher
from deskwire.flows.doctor import Doctor
from deskwire.flows.ephemeral import Signs
from deskwire.flows.execute import Execute
from deskwire.flows.files import Files
from deskwire.flows.flat import WORD, FlatForm
from deskwire.flows.history import History
from deskwire.flows.login import Logins, WeComApp
from deskwire.flows.marks import Marks
from deskwire.flows.places import Places
from deskwire.flows.presence import Presences
from deskwire.flows.timers import Handler, Timers
from deskwire.flows.trace import Traces
from deskwire.flows.watch import DeskGate
from deskwire.flows.wecom_out import Outbox, Sender
from deskwire.realtime.codes import Code as CloseCode
from deskwire.realtime.frames import Ephemeral
from deskwire.realtime.gate import ConnectionId, LoginId
from deskwire.realtime.manager import ConnectionManager, Policy
from deskwire.realtime.milestones import Milestones
from deskwire.realtime.presence import MemoryPresence
from deskwire.storage.due import Clock, DatabaseClock, GivenClock
from deskwire.storage.engine import DatabaseUrl, Store, StoreUnavailable
from deskwire.storage.files import LocalFiles
from deskwire.storage.log import SqlLog
from deskwire.storage.logins import KICKED
from deskwire.storage.views import Views
from deskwire.web.agent import agent_router
from deskwire.web.auth import Cookies, identity_in
from deskwire.web.commands import commands_router
from deskwire.web.contract import completing
from deskwire.web.doctor import doctor_router
from deskwire.web.errors import handle_all
from deskwire.web.figures import figures_router
from deskwire.web.files import files_router
from deskwire.web.health import health_router
from deskwire.web.login import agent_login_router, me_router, signin_router
from deskwire.web.pages import STATIC, add_pages
from deskwire.web.passwords import passwords_router
from deskwire.web.people import people_router
from deskwire.web.reads import reads_router
from deskwire.web.schemas import CommandBody, parse_command
from deskwire.web.security import Door, Origins
from deskwire.web.socket import Socket
from deskwire.wecom.client import WeComClient
from deskwire.wecom.token import MemoryTokens

_log = telemetry.logger("app")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeComSettings:
    """The app at WeCom: who we are there, and the addresses of its three faces.

    `seats` bound how many cards may go out in a day.
    """

    corp_id: str
    agent_id: int
    secret: str = field(repr=False)
    api_url: str
    open_url: str
    login_url: str
    seats: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a desk is built from.

    `origins` are those of our own pages, the canonical one first. Without `wecom` only agents can
    log in, by password. `files` is the folder of attachments, made with the first of them. `mounts`
    are further applications by path, as the demo's simulator, whose phone shows our pages in a
    frame.
    """

    database_url: str | DatabaseUrl
    origins: tuple[str, ...]
    wecom: WeComSettings | None
    files: Path = Path("deskwire-data") / "files"
    framed_by_self: bool = False
    static: Path = STATIC
    mounts: Mapping[str, ASGIApp] = field(default_factory=dict)


class Desk:
    """A desk, built and joined; `asgi` is what a server runs, `api` the HTTP part of it.

    The schema must be up to date before it starts.
    """

    def __init__(
        self, configuration: Configuration, *, now: Callable[[], int] | None = None
    ) -> None:
        self.configuration = configuration
        self.now = now or now_ms
        self._clock: Clock = DatabaseClock() if now is None else GivenClock(now)
        self.store = Store(configuration.database_url)
        self.manager: ConnectionManager
        self._wecom = _wecom_app(configuration)
        self._join()
        origins = Origins(
            allowed=configuration.origins, framed_by_self=configuration.framed_by_self
        )
        self.api = self._api(origins)
        self.asgi = self._routes(origins)

    def _tell(self, sign: Ephemeral, origin: ConnectionId | None = None) -> None:
        self.manager.sign(sign, except_for=origin)

    def _join(self) -> None:
        """Rooms meet here: each gets what it needs as a function of another."""
        store = self.store
        self._flat = FlatForm(store, sign=self._tell, is_wanted=self._is_flat_wanted)
        self._marks = Marks(store, sign=self._tell, now=self.now, rose=self._flat.happened)
        signs = Signs(store, sign=self._tell)
        self._places = Places(store, sign=self._tell, clock=self._clock)
        registry, is_partial = MemoryPresence(), not store.is_for_one_process
        self._presences = Presences(
            store,
            sign=self._tell,
            clock=self._clock,
            registry=registry,
            is_partial=is_partial,
        )
        gate = DeskGate(
            store,
            signs=self._signs,
            reported=(self._marks.reported, signs.reported, self._presences.reported),
            looked_in=self._looked_in,
        )
        self.manager = ConnectionManager(
            policy=Policy.MANY, log=SqlLog(store), gate=gate, presence=registry
        )
        self.manager.on(Milestones().heard)
        self.execute = Execute(
            store,
            ring=self._ring,
            clock=self._clock,
            new_id=new_id,
            due=self._look,
            sign=self._tell,
            happened=self._flat.happened,
        )
        local = LocalFiles(self.configuration.files)
        self.files = Files(store, local, now=self.now, new_id=new_id)
        self.history = History(store, execute=self.execute, now=self.now, new_id=new_id)
        self._traces = Traces(
            store,
            clock=self._clock,
            registry=registry,
            is_partial=is_partial,
            looked_in=self.history.opened,
        )
        self.logins = Logins(
            store,
            wecom=self._wecom,
            now=self.now,
            new_id=new_id,
            end_login=self._end_login,
        )

        self._join_the_clock()

    def _join_the_clock(self) -> None:
        """What happens by itself: who is there, the dispatcher, timers."""
        store, execute, clock = self.store, self.execute, self._clock
        self._attendance = Attendance(
            store,
            execute=execute,
            clock=clock,
            new_id=new_id,
            due=self._look,
            changed=self._presences.moved,
        )
        self.manager.on(self._attendance.heard)
        self._dispatcher = Dispatcher(
            store,
            execute=execute,
            clock=clock,
            new_id=new_id,
            due=self._look,
            explained=self._places.moved,
        )
        self._cleaning = Cleaning(store, clock=clock, files=self.files.clean)
        others: dict[TimerKind, Handler] = {
            TimerKind.CLEAN: self._cleaning.look,
            TimerKind.DISPATCH: self._dispatcher.look,
            TimerKind.HOURS_EDGE: self._dispatcher.edge,
        }
        self._timers = Timers(store, execute=execute, clock=clock, others=others)
        self._outbox = self._sending()

    def _sending(self) -> Outbox | None:
        """Cards go out where there is a WeCom to take them; else pushes wait in their rows."""
        settings, app = self.configuration.wecom, self._wecom
        if settings is None or app is None:
            return None
        sender = Sender(
            client=app.client,
            agent_id=app.agent_id,
            public_url=app.public_url,
            seats=settings.seats,
        )
        return Outbox(self.store, execute=self.execute, clock=self._clock, sender=sender)

    def _is_sending(self) -> bool:
        """Whether nothing but their own time holds pushes back."""
        return self._wecom is not None and self._wecom.client.trouble is None

    def _is_flat_wanted(self, stream: str) -> bool:
        return self.manager.is_wanted(stream, WORD)

    async def _looked_in(self, who: Principal, conv_id: str) -> Refusal | None:
        return await self.history.looked_in(who, conv_id)

    async def _end_login(self, login: str, why: str) -> None:
        code = CloseCode.KICKED if why == KICKED else CloseCode.LOGGED_OUT
        await self.manager.end_login(LoginId(login), code)

    def _ring(self, stream: str, position: int) -> None:
        self.manager.ring(stream, position)
        self._places.rung(stream)
        self._presences.rung(stream)

    def _look(self) -> None:
        self._timers.wake()

    async def _signs(self, stream: Stream) -> Sequence[Ephemeral]:
        every = (self._marks.signs, self._places.signs, self._presences.signs)
        return [sign for signs in every for sign in await signs(stream)]

    async def act(
        self, realm: str, person: str, name: str, *, conv: str | None = None, **args: Any
    ) -> Mapping[str, Any]:
        """Carry out a command by its wire name, as a person would over HTTP; for console commands.

        Returns the result. Raises ValueError with the refusal's code if it is refused.
        """
        who = Principal(Realm(realm), PersonId(person))
        command = parse_command(CommandBody(name=name, conv=conv, args=args), who.realm)
        if not isinstance(command, Refusal):
            answer = await self.execute.run(who, new_id(), command)
            if not isinstance(answer, Refusal):
                return answer.result
            command = answer
        raise ValueError(f"{name}: {command.code} {dict(command.detail)}")

    def _routes(self, origins: Origins) -> ASGIApp:
        mounts: list[BaseRoute] = [
            Mount(path, app=app) for path, app in self.configuration.mounts.items()
        ]
        others = Starlette(routes=mounts, lifespan=self._lifespan)
        # As the default and no mount of "/": a mount's pattern does not match a path with a line's
        # end in it, and what the framework then says of itself has not been through the door.
        others.router.default = Door(self.api, origins)
        others.router.redirect_slashes = False
        sockets = {f"/ws/{realm.value}": self._socket(realm, origins) for realm in LOGIN_REALMS}

        async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
            # In a storm of arrivals a framework's way to two fixed paths is dear.
            is_socket = scope["type"] == "websocket" and scope["path"] in sockets
            await (sockets[scope["path"]] if is_socket else others)(scope, receive, send)

        return by_path

    def _api(self, origins: Origins) -> FastAPI:
        api = FastAPI(
            title="deskwire", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
        )
        reads, cookies = Views(self.store, self._clock), Cookies(is_https=origins.is_https)
        for realm in LOGIN_REALMS:
            identity = identity_in(realm, self.logins, cookies)
            api.include_router(commands_router(realm, identity, self.execute))
            api.include_router(reads_router(realm, identity, reads, self.history, self.now))
            api.include_router(files_router(realm, identity, self.files))
            api.include_router(me_router(realm, identity, self.logins, reads, cookies))
            api.include_router(signin_router(realm, self.logins, cookies, origins))
        agent = identity_in(Realm.AGENT, self.logins, cookies)
        api.include_router(agent_login_router(agent, self.logins, reads, cookies))
        api.include_router(people_router(agent, reads))
        api.include_router(passwords_router(agent, self.logins))
        api.include_router(agent_router(agent, reads, self.history))
        api.include_router(figures_router(agent, self.history))
        doctor = Doctor(self.store, clock=self._clock, is_sending=self._is_sending)
        api.include_router(doctor_router(agent, doctor, self._traces))
        api.include_router(health_router(self._is_ready))
        add_pages(api, origins, self.configuration.static)
        handle_all(api, StoreUnavailable)
        api.openapi = completing(api.openapi)  # type: ignore[method-assign]  # FastAPI's own way
        return api

    def _socket(self, realm: Realm, origins: Origins) -> Socket:
        return Socket(
            realm,
            manager=self.manager,
            logins=self.logins,
            cookies=Cookies(is_https=origins.is_https),
            origins=origins,
            unavailable=StoreUnavailable,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Start in order of need, stop in reverse.

        The last acks are stored before the store closes.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.store.close)
            stack.callback(self.logins.close)
            if self._wecom is not None:
                await stack.enter_async_context(self._wecom.client)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            storing = tasks.create_task(self._marks.run())
            await self.manager.start()
            ours = (self._attendance, self._dispatcher, self._timers, self._places, self._cleaning)
            telling = (self._flat, self._presences)
            running = [tasks.create_task(each.run()) for each in (*ours, *telling)]
            if self._outbox is not None:
                running.append(tasks.create_task(self._outbox.run()))
            _log.info("started", url=self.configuration.origins[0])
            try:
                yield
            finally:
                await self.manager.stop()
                for task in (storing, *running):
                    task.cancel()
                await self._marks.flush()
                await self._attendance.stop()
                _log.info("stopped")

    async def _is_ready(self) -> bool:
        if not self.manager.accepting:
            return False
        try:
            await SqlLog(self.store).heads(["desk"])
        except StoreUnavailable:
            return False
        return True


def _wecom_app(configuration: Configuration) -> WeComApp | None:
    wecom = configuration.wecom
    if wecom is None:
        return None
    return WeComApp(
        corp_id=wecom.corp_id,
        agent_id=wecom.agent_id,
        client=WeComClient(
            api_url=wecom.api_url,
            corp_id=wecom.corp_id,
            agent_id=wecom.agent_id,
            secret=wecom.secret,
            tokens=MemoryTokens(),
        ),
        open_url=wecom.open_url,
        login_url=wecom.login_url,
        public_url=configuration.origins[0],
    )


def loopback_origins(port: int) -> tuple[str, ...]:
    """The origins of a desk that only this machine reaches; the first is the canonical one."""
    return tuple(f"http://{name}:{port}" for name in ("127.0.0.1", "localhost"))


def now_ms() -> int:
    """The wall clock, Unix ms."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A UUIDv7 (RFC 9562 §5.7): sorts by time, and cannot be guessed."""
    value = (now_ms() << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
