"""The road to the simulated WeCom inside one process, for httpx: no socket, faults included.

What a real network would do (refuse, cut, be slower than a timeout) becomes what httpx would raise.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx

from deskwire.wecom.simulator.asgi import ConnectionCut, NobodyListens
from deskwire.wecom.simulator.guard import ASGIApp


class SimulatedNetwork(httpx.AsyncBaseTransport):
    """`clock` is the world's (Unix ms): what lasts its read timeout on it has timed out."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], int]) -> None:
        self._road = httpx.ASGITransport(app)
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        began_ms = self._clock()
        try:
            answer = await self._road.handle_async_request(request)
        except NobodyListens:
            raise httpx.ConnectError("connection refused", request=request) from None
        except ConnectionCut:
            raise httpx.ReadError("connection reset", request=request) from None
        patience_s = request.extensions.get("timeout", {}).get("read")
        if patience_s is not None and self._clock() - began_ms >= patience_s * 1000:
            raise httpx.ReadTimeout("timed out", request=request)
        return answer
