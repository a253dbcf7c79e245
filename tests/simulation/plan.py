"""What a seed does to the world: its shape, its faults, and every action with its instant.

Swarm: each seed switches on a random subset of the faults, so that rare pairs meet undisturbed.
An action carries its own dice roll and looks for its victims when it happens, so a shortened list
of actions is a run like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from deskwire.realtime.limits import Limits

# kind of action → how often beside the others
FAULTS = {
    "cut": 6,
    "half_open": 2,
    "deaf_up": 1,
    "stall": 4,
    "trickle": 2,
    "client_dies": 4,
    "client_away": 3,
    "client_double": 2,
    "client_forges": 2,
    "client_loses_storage": 1,
    "crash": 2,
    "drain": 2,
    "bus_loses": 3,
    "bus_deaf": 2,
    "bus_lies": 2,
    "store_away": 2,
    "store_faults": 2,
    "restore": 2,
    "trim": 2,
    "allow": 5,
    "revoke": 5,
    "leave": 3,
    "end_login": 1,
    "kick": 1,
    "recheck": 1,
    "sign": 5,
    "chat": 4,
    "probe": 3,
    "unwatch": 3,
    "watch_again": 2,
    "clock_jumps": 1,
    "loop_stalls": 1,
}
PLAIN = {
    "plain_connect": 12,
    "plain_gone": 5,
    "plain_breaks": 4,
    "plain_stall": 4,
    "plain_send": 14,
    "plain_list": 5,
    "plain_broadcast": 8,
    "plain_status": 8,
    "plain_poison": 4,
    "plain_cancelled": 4,
    "plain_disconnect": 1,
}


@dataclass(frozen=True, slots=True)
class Action:
    at_s: float
    kind: str
    roll: int

    def __str__(self) -> str:
        return f"{self.at_s:9.3f} {self.kind} {self.roll}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: str
    nodes: int
    people: int
    tabs: int  # clients of one person, at most
    streams: int
    limits: dict[str, Any]
    policy_many: bool
    bus_loss: float
    bus_doubling: float
    bus_delay_s: float
    store_lag_s: float
    network_lag_s: float
    chunk_bytes: int
    big: float  # chance that an event is tens of KiB
    poison: float
    voids: float
    hands_page: float  # chance that the committing node hands its page along
    crash_points: float  # chance per commit to die around it
    commit_unknown: float
    faults: tuple[str, ...]
    actions: Sequence[Action] = field(default=())

    @property
    def ends_s(self) -> float:
        return self.actions[-1].at_s if self.actions else 0.0


def make_plan(seed: str, events: int) -> Plan:
    dice = Random(f"plan {seed}")
    pick = dice.choice
    rough = dice.random() < 0.1  # one in ten: everything at once, much of it
    faults = tuple(kind for kind in FAULTS if dice.random() < (0.9 if rough else 0.35))
    plain = tuple(kind for kind in PLAIN if dice.random() < 0.8) if dice.random() < 0.6 else ()
    gap_s = pick((0.002, 0.02, 0.1, 0.3))
    big = pick((0.0, 0.0, 0.05, 0.4))
    return Plan(
        seed=seed,
        nodes=pick((1, 2, 2, 3, 4)),
        people=dice.randint(2, 7),
        tabs=pick((1, 2, 3)),
        streams=dice.randint(1, 5),
        limits={**_limits(dice), "in_step_from": Random(f"step {seed}").choice((1, 1, 2, 32))},
        policy_many=dice.random() < 0.3,
        bus_loss=pick((0.0, 0.0, 0.1, 0.5, 1.0)),
        bus_doubling=pick((0.0, 0.3)),
        bus_delay_s=pick((0.0, 0.01, 0.5, 3.0)),
        store_lag_s=pick((0.0005, 0.005, 0.05)),
        network_lag_s=pick((0.0005, 0.01, 0.2)),
        chunk_bytes=pick((20_000, 256 * 1024) if big else (80, 1_000, 256 * 1024)),
        big=big,
        poison=pick((0.0, 0.02)),
        voids=pick((0.0, 0.05)),
        hands_page=pick((0.0, 0.5, 1.0)),
        crash_points=pick((0.0, 0.0, 0.01)),
        commit_unknown=pick((0.0, 0.05)),
        faults=(*faults, *plain),
        actions=_actions(dice, events, gap_s, faults, plain, rough),
    )


def _limits(dice: Random) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for name, values in {
        "unacked_events": (4, 16),
        "unacked_bytes": (66_000, 100_000),
        "waiting_bytes": (66_000, 100_000),
        "kept_events": (1, 8),
        "kept_bytes": (70_000,),
        "resume_events": (10, 40),
        "coalesced_signs": (2,),
        "page_reads": (1,),
        "identifies": (1,),
    }.items():
        if dice.random() < 0.25:
            limits[name] = dice.choice(values)
    Limits(**limits)
    return limits


def _actions(
    dice: Random, events: int, gap_s: float, faults: Sequence[str], plain: Sequence[str],
    rough: bool,
) -> list[Action]:  # fmt: skip
    actions: list[Action] = []
    now = 1.0
    every = dice.choice((4, 8)) if rough else dice.choice((8, 15, 40))
    for _ in range(events):
        if dice.random() < 0.97:
            now += dice.expovariate(1) * gap_s
        else:
            now += dice.expovariate(1) * max(1.0, gap_s * 20)  # a pause: tails become last
        actions.append(Action(now, "commit", dice.getrandbits(32)))
        for kinds, weights, chance in ((faults, FAULTS, 1 / every), (plain, PLAIN, 0.4)):
            if kinds and dice.random() < chance:
                kind = dice.choices(kinds, [weights[each] for each in kinds])[0]
                at_s = now + dice.random() * gap_s
                actions.append(Action(at_s, kind, dice.getrandbits(32)))
    return sorted(actions, key=lambda action: action.at_s)
