"""A whole desk behind its door: the real application, and browsers that speak to it.

Most tests reach it in the process, through ASGI; those about sockets and large bodies through a
real server on the loopback.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from deskwire.app import Configuration, Desk, WeComSettings, now_ms
from deskwire.desk.people import Principal, Realm
from deskwire.realtime.uvicorn_protocol import UvicornProtocol
from deskwire.wecom.simulator.asgi import simulator_app
from deskwire.wecom.simulator.world import Person, World
from tests.flows.office import Office

HOST = "desk.test:8000"
URL = f"http://{HOST}"
SECRET = "corpsecret-nobody-may-see"
HOUR_MS = 3600 * 1000

_numbers = count(1)


class Site:
    """A desk, with an office to look at its database. `now_ms` is both their clock."""

    def __init__(self, desk: Desk, office: Office) -> None:
        self.desk = desk
        self.office = office
        self.url = desk.configuration.origins[0]
        self.is_served = False
        self.wecom: World | None = None

    @classmethod
    async def at(
        cls,
        office: Office,
        *origins: str,
        static: Path | None = None,
        members: Sequence[Person] = (),
    ) -> Site:
        """With `members` there is a simulated WeCom behind it, for which it must be served."""
        wecom_url = f"{origins[0]}/_wecom" if members else "http://127.0.0.1:9"
        world = _simulated(office, origins[0], members) if members else None
        configuration = Configuration(
            database_url=office.database.url,
            origins=origins or (URL, "http://localhost:8000"),
            wecom=WeComSettings(
                corp_id="wwdemo00000000000",
                agent_id=1000002,
                secret=SECRET,
                api_url=wecom_url,
                open_url=wecom_url,
                login_url=wecom_url,
            ),
            files=office.database.folder / "files",
            static=static or office.database.folder / "static",
            mounts={"/_wecom": simulator_app(world, public_url=origins[0])} if world else {},
        )
        desk = await asyncio.to_thread(Desk, configuration, now=lambda: office.now_ms)
        site = cls(desk, office)
        site.wecom = world
        return site

    async def close(self) -> None:
        self.desk.logins.close()
        await self.desk.store.close()

    def login(self, who: Principal, *, expires_ms: int = HOUR_MS) -> str:
        """A login of this principal, as one made by either road; its secret."""
        number = next(_numbers)
        secret = f"secret-{number}"
        self.office.write(
            "INSERT INTO login VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            hashlib.sha256(secret.encode()).digest(),
            f"login-{number}",
            who.realm.value,
            who.person,
            self.office.now_ms,
            self.office.now_ms,
            self.office.now_ms + expires_ms,
        )
        return secret

    def browser(self, who: Principal | None = None, *, realm: Realm | None = None) -> Browser:
        """Somebody's browser; a login's cookie may be carried to the other realm."""
        cookies = {}
        if who is not None:
            cookies[f"deskwire-{(realm or who.realm).value}"] = self.login(who)
        transport = None if self.is_served else httpx.ASGITransport(self.desk.asgi)
        return Browser(transport=transport, base_url=self.url, cookies=cookies)


class Browser(httpx.AsyncClient):
    """As our pages ask: Origin, Command-Id and Deskwire-Client are there unless taken away."""

    async def send_json(
        self, path: str, body: Any = None, *, without: str = "", **headers: str
    ) -> httpx.Response:
        return await self.post(
            path,
            json={} if body is None else body,
            headers=self.usual(without=without, **headers),
        )

    async def send_bytes(
        self, path: str, body: bytes | AsyncIterator[bytes], **headers: str
    ) -> httpx.Response:
        return await self.post(path, content=body, headers=self.usual(**headers))

    def usual(self, *, without: str = "", **headers: str) -> dict[str, str]:
        base = self.base_url
        found = {
            "origin": f"{base.scheme}://{base.netloc.decode()}",
            "content-type": "application/json",
            "command-id": f"browser-{next(_numbers)}",
            "deskwire-client": "tests/1",
        }
        found |= {name.replace("_", "-"): value for name, value in headers.items()}
        return {name: value for name, value in found.items() if name not in without.split()}

    async def command(
        self, realm: Realm, name: str, conv: str | None = None, /, **args: Any
    ) -> httpx.Response:
        body = {"name": name, "args": args} | ({"conv": conv} if conv else {})
        return await self.send_json(f"/api/{realm.value}/commands", body)


def code(answer: httpx.Response) -> str:
    """The refusal's code; fails where the answer is not a refusal as the protocol has it."""
    refusal = answer.json()["refusal"]
    assert set(refusal) == {"code", "message", "detail", "retry"}
    return str(refusal["code"])


def refusal(answer: httpx.Response) -> tuple[int, str, Any]:
    return answer.status_code, code(answer), answer.json()["refusal"]["detail"]


def listening() -> socket.socket:
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    found.listen(128)
    return found


def _simulated(office: Office, url: str, members: Sequence[Person]) -> World:
    """On the office's clock."""
    host = url.partition("://")[2]
    return World(
        clock=lambda: office.now_ms, seed=7, secret=SECRET, trusted_domain=host, people=members
    )


@asynccontextmanager
async def served(office: Office, *, members: Sequence[Person] = ()) -> AsyncIterator[Site]:
    """The site on a real server of this machine, by this machine's clock: sockets know no other."""
    office.now_ms = now_ms()
    with listening() as at:
        url = f"http://127.0.0.1:{at.getsockname()[1]}"
        site = await Site.at(office, url, members=members)
        server = uvicorn.Server(
            uvicorn.Config(
                site.desk.asgi,
                lifespan="on",
                log_config=None,
                ws=UvicornProtocol,
                ws_max_size=64 * 1024,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=2,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[at]))
            while not (server.started or serving.done()):  # noqa: ASYNC110  uvicorn has no event
                await asyncio.sleep(0)
            try:
                site.is_served = True
                yield site
            finally:
                server.should_exit = True
