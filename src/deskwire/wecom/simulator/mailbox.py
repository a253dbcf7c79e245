"""The cards that the phones of the simulated corp show, and how they come there.

Pure; takes `now_ms`. Each rule names its source as the world's do. Must never know tokens or apps:
whoever asks has been let in.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from deskwire.wecom.simulator.people import Kind, Person

TITLE_CHARS: Final = 128  # D90236, and so the next two
DESCRIPTION_CHARS: Final = 512
URL_BYTES: Final = 2048
DUPLICATE_S: Final = 1800
DUPLICATE_S_MAX: Final = 14_400
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
PER_MINUTE: Final = 30  # D90312: to one member; what is over is thrown away
PER_HOUR: Final = 1000
RECALL_MS: Final = 24 * HOUR_MS  # D94867
CARDS_KEPT: Final = 200  # of each phone
REQUESTS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card on a phone, as WeCom shows it; `request` is what it was made of."""

    msgid: str
    userid: str
    at_ms: int
    title: str
    description: str
    url: str
    button: str
    request: bytes
    is_recalled: bool = False


@dataclass(frozen=True, slots=True)
class _Taken:
    msgid: str
    until_ms: int


Answer = int | dict[str, str]
"""An errcode, or the fields of a good reply."""


class Mailbox:
    """`person` finds a member by user id, `msgid` makes the next id."""

    def __init__(self, *, person: Callable[[str], Person | None], msgid: Callable[[], str]) -> None:
        self._person = person
        self._msgid = msgid
        self._cards: dict[str, deque[Card]] = {}
        self._taken: dict[bytes, _Taken] = {}
        self._sent: dict[str, deque[int]] = {}
        self.requests: deque[bytes] = deque(maxlen=REQUESTS_KEPT)
        self.names_duplicates = True
        """Whether the answer to a repeated request names the first one's msgid; not documented."""

    def shown(self, userid: str) -> list[Card]:
        """What that phone shows, the oldest first."""
        return [card for card in self._cards.get(userid.casefold(), ()) if not card.is_recalled]

    def send(self, request: bytes, agent_id: int, now_ms: int, *, is_lost: bool = False) -> Answer:
        """D90236. `is_lost`: it is accepted, and no phone ever shows it."""
        self.requests.append(request)
        asked = _object(request)
        if (wrong := _wrong(asked, agent_id)) is not None:
            return wrong
        person = self._person(str(asked["touser"]))
        if person is None or person.kind is not Kind.MEMBER or not person.is_in_scope:
            return 81013
        if not person.is_licensed:
            return {"unlicenseduser": person.userid.casefold(), "msgid": self._msgid()}
        return self._take(request, asked, person, now_ms, is_lost=is_lost)

    def _take(
        self, request: bytes, asked: dict[str, Any], person: Person, now_ms: int, *, is_lost: bool
    ) -> Answer:
        key = hashlib.sha256(request).digest()
        before = self._taken.get(key)
        checks = asked.get("enable_duplicate_check") == 1
        if checks and before is not None and now_ms < before.until_ms:
            return {"msgid": before.msgid} if self.names_duplicates else {}
        msgid = self._msgid()
        interval_s = min(int(asked.get("duplicate_check_interval", DUPLICATE_S)), DUPLICATE_S_MAX)
        self._taken[key] = _Taken(msgid, now_ms + interval_s * 1000)
        while len(self._taken) > REQUESTS_KEPT:
            del self._taken[next(iter(self._taken))]
        if self._has_room(person, now_ms) and not is_lost:
            self._show(_card(asked["textcard"], person, msgid, request, now_ms))
        return {"msgid": msgid}

    def _has_room(self, person: Person, now_ms: int) -> bool:
        """D90312: what is over 30 a minute or 1,000 an hour is thrown away, without a word."""
        sent = self._sent.setdefault(person.userid.casefold(), deque(maxlen=PER_HOUR))
        within_minute = sum(now_ms - at < MINUTE_MS for at in sent)
        within_hour = sum(now_ms - at < HOUR_MS for at in sent)
        sent.append(now_ms)
        return within_minute < PER_MINUTE and within_hour < PER_HOUR

    def _show(self, card: Card) -> None:
        cards = self._cards.setdefault(card.userid.casefold(), deque(maxlen=CARDS_KEPT))
        cards.append(card)

    def recall(self, request: bytes, now_ms: int) -> Answer:
        """D94867: within 24 hours; later 42052, and 40058 for what is not ours."""
        msgid = _object(request).get("msgid")
        for cards in self._cards.values():
            for place, card in enumerate(cards):
                if card.msgid == msgid:
                    if now_ms - card.at_ms > RECALL_MS:
                        return 42052
                    cards[place] = replace(card, is_recalled=True)
                    return {}
        return 40058


def _object(request: bytes) -> dict[str, Any]:
    try:
        found = json.loads(request)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _wrong(asked: dict[str, Any], agent_id: int) -> int | None:
    """What D90236 refuses, of the one kind that is imitated: a text card to one member."""
    if not asked.get("touser"):
        return 82001
    if asked.get("msgtype") != "textcard":
        return 40008
    if asked.get("agentid") != agent_id:
        return 40056
    card = asked.get("textcard") or {}
    for name, missing in (("title", 41016), ("description", 41033)):
        if not card.get(name):
            return missing
    url = str(card.get("url", ""))
    has_scheme = url.startswith(("https://", "http://"))
    return None if has_scheme and len(url.encode()) <= URL_BYTES else 45034


def _card(shown: dict[str, Any], person: Person, msgid: str, request: bytes, now_ms: int) -> Card:
    """With WeCom's cuts, counted in characters."""
    return Card(
        msgid=msgid,
        userid=person.userid,
        at_ms=now_ms,
        title=str(shown["title"])[:TITLE_CHARS],
        description=str(shown["description"])[:DESCRIPTION_CHARS],
        url=str(shown["url"]),
        button=str(shown.get("btntxt") or "详情"),
        request=request,
    )
