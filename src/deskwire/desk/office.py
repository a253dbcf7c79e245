"""The office: groups of agents and the categories that lead to them. Plain records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Agents who share one queue. `queue_max` bounds how many conversations may wait in it."""

    id: str
    name: str
    queue_max: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """What a conversation is about; it decides the group."""

    id: str
    name_zh: str
    name_en: str
    group: Group
    order: int = 0
