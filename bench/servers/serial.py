"""What an app has before it has a manager: a dict of sockets, an awaited `send_json` each."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from bench.servers.driver import Event, Hooks, Start, on_uvicorn


class SerialManager:
    def __init__(self) -> None:
        self._sockets: dict[str, WebSocket] = {}

    @property
    def sockets(self) -> list[WebSocket]:
        return list(self._sockets.values())

    async def connect(self, agent_id: str, websocket: WebSocket) -> None:
        await websocket.accept()
        self._sockets[agent_id] = websocket

    def disconnect(self, agent_id: str) -> None:
        self._sockets.pop(agent_id, None)

    async def send_to_agent(self, agent_id: str, data: Event) -> None:
        if agent_id in self._sockets:
            try:
                await self._sockets[agent_id].send_json(data)
            except Exception:  # noqa: BLE001  whatever a server raises for a peer that is gone
                self.disconnect(agent_id)

    async def broadcast(self, data: Event) -> None:
        for agent_id, websocket in list(self._sockets.items()):
            try:
                await websocket.send_json(data)
            except Exception:  # noqa: BLE001  whatever a server raises for a peer that is gone
                self.disconnect(agent_id)


def application(manager: Any) -> FastAPI:
    """One endpoint, as the documentation of every framework has it."""
    app = FastAPI()

    @app.websocket("/ws/{agent_id}")
    async def stay(websocket: WebSocket, agent_id: str) -> None:
        await manager.connect(agent_id, websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            manager.disconnect(agent_id)

    return app


def run(start: Start) -> None:
    manager = SerialManager()
    hooks = Hooks(
        broadcast=manager.broadcast,
        push=manager.send_to_agent,
        stats=lambda: {"connections": len(manager.sockets), "closed": {}},
    )
    on_uvicorn(application(manager), hooks, start.door(), **start.uvicorn)
