"""A simulated WeCom, a clock that stands still until somebody waits, and our client: joined."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from deskwire.wecom.client import WeComClient
from deskwire.wecom.oauth import LoginStart, authorize_url
from deskwire.wecom.simulator.asgi import simulator_app
from deskwire.wecom.simulator.network import SimulatedNetwork
from deskwire.wecom.simulator.world import Person, World
from deskwire.wecom.token import Machine, MemoryTokens, TokenStore

SECRET = "corpsecret-nobody-may-see"
DOMAIN = "desk.example.com:8443"
RETURN = f"https://{DOMAIN}/login/employee/return"
API = "http://127.0.0.1:8000"
STATE = "0123456789abcdef0123456789abcdef"


class Clock:
    """Unix ms. Waiting on it moves it and lets others run; it never takes time."""

    def __init__(self) -> None:
        self.now_ms = 1_767_225_600_000
        self.pauses: list[float] = []

    def __call__(self) -> int:
        return self.now_ms

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


class Town:
    def __init__(self, *people: Person, secret: str = SECRET) -> None:
        self.clock = Clock()
        self.world = World(clock=self.clock, seed=7, secret=secret, trusted_domain=DOMAIN)
        for person in people:
            self.world.add(person)
        self.app = simulator_app(self.world, public_url=API, pause=self.clock.pause)
        self.network = SimulatedNetwork(self.app, clock=self.clock)
        self.machine = Machine(now_ms=self.clock, pause=self.clock.pause, chance=lambda: 0.5)

    def client(self, *, tokens: TokenStore | None = None, **changed: Any) -> WeComClient:
        wanted: dict[str, Any] = {
            "corp_id": self.world.corp_id,
            "agent_id": self.world.app.agent_id,
            "secret": SECRET,
            "api_url": API,
            "transport": self.network,
            "machine": self.machine,
        }
        return WeComClient(tokens=tokens or MemoryTokens(), **(wanted | changed))

    def browser(self, **more: Any) -> httpx.AsyncClient:
        """Somebody's browser on this machine."""
        return httpx.AsyncClient(transport=self.network, base_url=API, **more)

    def start(self, redirect_uri: str = RETURN, *, agent_id: int | None = None) -> str:
        start = LoginStart(
            corp_id=self.world.corp_id,
            agent_id=agent_id or self.world.app.agent_id,
            redirect_uri=redirect_uri,
            state=STATE,
        )
        return authorize_url(start, open_url=API).removesuffix("#wechat_redirect")

    async def code(
        self, userid: str, redirect_uri: str = RETURN, *, agent_id: int | None = None
    ) -> str:
        """As a browser gets it: the authorize page, a person picked, the code in the address."""
        async with self.browser() as browser:
            link = f"{self.start(redirect_uri, agent_id=agent_id)}&person={userid}"
            answer = await browser.get(link)
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    def asked(self, path: str) -> int:
        """How many calls to `path` have reached WeCom."""
        return sum(call.path == path for call in self.world.calls)
