"""An administrator asks what is wrong → the invariants, looked for in the rows and the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deskwire.desk import access
from deskwire.desk.checkup import Finding
from deskwire.desk.people import Principal
from deskwire.desk.refusals import Code, Refusal
from deskwire.storage import doctor, people
from deskwire.storage.due import Clock
from deskwire.storage.engine import Store

BUSY = Refusal(Code.TRY_LATER, {"retry_after_s": 5})


class Doctor:
    """Examines the desk, one examination at a time. `is_sending()`: WeCom takes its pushes now."""

    def __init__(self, store: Store, *, clock: Clock, is_sending: Callable[[], bool]) -> None:
        self._store = store
        self._clock = clock
        self._is_sending = is_sending
        self._is_busy = False

    async def examine(self, who: Principal) -> Sequence[Finding] | Refusal:
        """A finding for each invariant, for whoever administers the desk."""
        async with self._store.reading() as conn:
            actor = await people.actor(conn, who)
        if actor is None or not access.has_duty(actor, access.Duty.ADMINISTER):
            return Refusal(Code.NOT_ALLOWED)
        if self._is_busy:
            return BUSY
        self._is_busy = True
        try:
            return await doctor.examine(self._store, self._clock, is_sending=self._is_sending())
        finally:
            self._is_busy = False
