"""deskwire: push to people over sockets that come and go."""

from deskwire.realtime.frames import PayloadError
from deskwire.realtime.manager import ConnectionManager, Policy, manager
from deskwire.realtime.payload import Reach
from deskwire.realtime.signals import drain_on_signal

__all__ = [
    "ConnectionManager",
    "PayloadError",
    "Policy",
    "Reach",
    "drain_on_signal",
    "manager",
]
