"""deskwire: push to people over sockets that come and go."""

from deskwire.realtime.frames import PayloadError
from deskwire.realtime.manager import ConnectionManager, Policy, Reach, manager

__all__ = ["ConnectionManager", "PayloadError", "Policy", "Reach", "manager"]
