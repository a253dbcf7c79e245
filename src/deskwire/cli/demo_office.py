"""The office that the demo shows: groups, categories, agents, and a little history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from deskwire.app import Configuration, Desk, now_ms
from deskwire.storage import office, people
from deskwire.storage.engine import Store
from deskwire.storage.log import SqlLog
from deskwire.storage.people import AgentRecord, PersonRecord

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

GROUPS = {"support": "IT 支持", "facilities": "办公设备"}

CATEGORIES = (
    ("network", "网络与 VPN", "Network and VPN", "support"),
    ("account", "账号与权限", "Accounts and access", "support"),
    ("software", "软件", "Software", "support"),
    ("computer", "电脑与外设", "Computers", "support"),
    ("printer", "打印机", "Printers", "facilities"),
    ("room", "会议室", "Meeting rooms", "facilities"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPerson:
    """Somebody whom the simulated WeCom knows."""

    userid: str
    name: str
    department: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAgent:
    """An agent of the demo; the login name is the WeCom user id too."""

    login_name: str
    name: str
    role: Literal["agent", "supervisor"]
    groups: tuple[str, ...]


AGENTS = (
    DemoAgent(login_name="lina", name="李娜", role="supervisor", groups=("support", "facilities")),
    DemoAgent(login_name="wangqiang", name="王强", role="agent", groups=("support",)),
    DemoAgent(login_name="zhaomin", name="赵敏", role="agent", groups=("support", "facilities")),
    DemoAgent(login_name="chenjie", name="陈杰", role="agent", groups=("support",)),
)


def person_id(userid: str) -> str:
    """The demo's own ids can be read; real ones cannot be guessed."""
    return f"p-{userid}"


async def seed_office(
    store: Store, everybody: Sequence[DemoPerson], password_hashes: Mapping[str, str]
) -> None:
    """Groups, categories, everybody whom the simulator knows, and the agents among them."""
    async with store.writing() as conn:
        for group_id, name in GROUPS.items():
            await office.save_group(conn, group_id, name=name)
        for order, (category_id, zh, en, group_id) in enumerate(CATEGORIES):
            await office.save_category(
                conn, category_id, name_zh=zh, name_en=en, group_id=group_id, order=order
            )
        for found in everybody:
            await people.save_person(conn, _person(found))
        for agent in AGENTS:
            await people.save_agent(conn, _agent(agent, password_hashes[agent.login_name]))


def _person(found: DemoPerson) -> PersonRecord:
    return PersonRecord(
        id=person_id(found.userid),
        name=found.name,
        wecom_userid=found.userid,
        department=found.department,
    )


def _agent(agent: DemoAgent, password_hash: str) -> AgentRecord:
    return AgentRecord(
        person=person_id(agent.login_name),
        login_name=agent.login_name,
        password_hash=password_hash,
        role=agent.role,
        groups=agent.groups,
    )


async def seed_history(configuration: Configuration, everybody: Sequence[DemoPerson]) -> None:
    """A solved conversation, one in hand and one that waits, said by the demo's people before."""
    past = _Past(configuration, [person_id(found.userid) for found in everybody[:3]])
    try:
        if not await past.is_told():
            await past.tell()
    finally:
        await past.close()


class _Past:
    """A desk whose clock the story sets. Nobody is connected to it."""

    def __init__(self, configuration: Configuration, employees: Sequence[str]) -> None:
        self._now = now_ms()
        self._desk = Desk(configuration, now=lambda: self._now)
        self._employees = employees

    async def close(self) -> None:
        self._desk.logins.close()
        await self._desk.store.close()

    async def is_told(self) -> bool:
        """Whether a first start that was cut off had come this far."""
        heads = await SqlLog(self._desk.store).heads([f"queue:{group}" for group in GROUPS])
        return any(head.position for head in heads.values())

    async def tell(self) -> None:
        start = self._now
        self._now = start - 26 * HOUR_MS
        await self._solved(self._employees[0])
        self._now = start - 40 * MINUTE_MS
        await self._in_hand(self._employees[1])
        self._now = start - 6 * MINUTE_MS
        await self._open(
            self._employees[2], "account", "新同事今天入职，需要开通 GitLab 和测试环境的权限"
        )

    async def _solved(self, asker: str) -> None:
        conv = await self._open(
            asker, "network", "VPN 连不上，提示「证书已过期」，急，10 点有客户会议"
        )
        agent = person_id("wangqiang")
        await self._agent(agent, "claim_conversation", conv)
        await self._post("agent", agent, conv, "您好，正在看。是公司电脑还是自己的？")
        await self._post("employee", asker, conv, "公司的 ThinkPad")
        await self._agent(agent, "post_note", conv, body="证书昨天批量过期，已走续签脚本")
        await self._post("agent", agent, conv, "证书已重新下发，请退出 VPN 客户端再登录一次。")
        await self._post("employee", asker, conv, "好了，谢谢！")
        await self._agent(agent, "resolve_conversation", conv, note="证书过期，已续签")
        rating = {"score": 5, "reasons": ["响应快"], "comment": ""}
        await self._say("employee", asker, "rate_conversation", conv, **rating)

    async def _in_hand(self, asker: str) -> None:
        conv = await self._open(asker, "software", "Outlook 打开就闪退，重启过电脑也不行")
        agent = person_id("lina")
        await self._agent(agent, "claim_conversation", conv)
        question = "请问最近装过插件吗？方便的话按住 Ctrl 再点图标，用安全模式打开试试。"
        await self._post("agent", agent, conv, question)

    async def _open(self, employee: str, category_id: str, body: str) -> str:
        args = {"category_id": category_id, "kind": "text", "body": body}
        opened = await self._say("employee", employee, "open_conversation", None, **args)
        return str(opened["conv_id"])

    async def _agent(self, agent: str, name: str, conv: str, **args: Any) -> None:
        await self._say("agent", agent, name, conv, **args)

    async def _post(self, realm: str, person: str, conv: str, body: str) -> None:
        await self._say(realm, person, "post_message", conv, kind="text", body=body)

    async def _say(
        self, realm: str, person: str, name: str, conv: str | None, **args: Any
    ) -> Mapping[str, Any]:
        self._now += MINUTE_MS
        return await self._desk.act(realm, person, name, conv=conv, **args)
