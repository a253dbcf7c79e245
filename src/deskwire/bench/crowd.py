"""The load: many `desk.v1` clients in one process, on raw sockets, counting what comes in.

It parses as little as an honest client can: frame by frame, an event by how its frame begins. It
answers pings, acknowledges as the protocol asks, and says what it costs itself.
"""

from __future__ import annotations

import heapq
import json
import selectors
import signal
import socket
import statistics
import time
from array import array
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

from deskwire.bench import machine

STREAM: Final = "desk:all"
AT_ONCE: Final = 128  # handshakes under way
ARRIVE_S: Final = 60.0
# As `hello` asks for it: soon after a pause, then each 2 s or 64 events.
ACK_EVENTS: Final = 64
ACK_GAP_S: Final = 0.06
ACK_LATE_S: Final = 0.19
ACK_EVERY_S: Final = 1.95
LOOK_S: Final = 0.01
READ_BYTES: Final = 256 * 1024

_EVENT: Final = b'{"op":"event"'
_WATCHED: Final = b'{"op":"watched"'
_LIVE: Final = b'{"op":"live"'
_PING: Final = b'{"op":"ping"'
_POSITION: Final = b'"position":'
_AT: Final = b'"at":'
_TEXT, _CLOSE, _PING_FRAME, _PONG_FRAME = 1, 8, 9, 10


class Client:
    """One connection, from its handshake to its end."""

    __slots__ = (
        "ack_due", "acked_at", "events", "is_in", "is_upgraded", "number", "position", "rest",
        "sock", "unacked",
    )  # fmt: skip

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.rest = b""
        self.is_upgraded = False
        self.is_in = False
        self.events = 0  # since `begin`
        self.position = 0
        self.unacked = 0
        self.acked_at = 0.0
        self.ack_due = 0.0


def run(pipe: Connection, core: int | None) -> None:
    """The process: obeys until the other side of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the console ends us
    machine.stay_on(core)
    machine.raise_files()
    crowd = Crowd(pipe.fileno())
    try:
        while True:
            if crowd.turn():
                pipe.send(crowd.obey(pipe.recv()))
    except (EOFError, OSError):
        return
    finally:
        crowd.close()


class Crowd:
    """All clients. `asked` is the descriptor that tells that somebody wants an answer."""

    def __init__(self, asked: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(asked, selectors.EVENT_READ, None)
        self._clients: list[Client] = []
        self._dialled = self._arrived = self._lost = 0
        self._events = self._disordered = 0
        self._is_timed = False
        self._late_ms = array("d")
        self._last: dict[int, int] = {}  # when an event was sent → when the last client had it
        self._waiting: list[tuple[float, int, Client]] = []  # for their acks, the next one first
        self._cpu_at_begin = 0.0

    def obey(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one message; the words are children.py's."""
        match message["do"]:
            case "stand":
                return {"cpu_s": time.process_time()}
            case "open":
                return self._open(message["port"], message["count"])
            case "begin":
                return self._begin(is_timed=message["is_timed"])
            case "end":
                return self._end(message["events"], message["wait_s"])
            case unknown:
                raise ValueError(unknown)

    def turn(self) -> bool:
        """Reads what there is; whether somebody wants an answer."""
        is_asked = False
        for key, events in self._selector.select(LOOK_S):
            if key.data is None:
                is_asked = True
            elif events & selectors.EVENT_WRITE:
                self._upgrade(key.data)
            else:
                self._read(key.data)
        self._acknowledge_late()
        return is_asked

    def close(self) -> None:
        """Everybody goes."""
        for client in self._clients:
            client.sock.close()
        self._selector.close()

    # --- coming in ------------------------------------------------------------------------------

    def _open(self, port: int, count: int) -> dict[str, Any]:
        began, cpu = time.monotonic(), time.process_time()
        while self._arrived + self._lost < count and time.monotonic() < began + ARRIVE_S:
            while self._dialled < min(count, self._arrived + self._lost + AT_ONCE):
                self._dial(port)
            self.turn()
        return {
            "connected": self._arrived,
            "seconds": time.monotonic() - began,
            "cpu_s": time.process_time() - cpu,
        }

    def _dial(self, port: int) -> None:
        sock = socket.socket()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", port))
        client = Client(self._dialled, sock)
        self._dialled += 1
        self._clients.append(client)
        self._selector.register(sock, selectors.EVENT_WRITE, client)

    def _upgrade(self, client: Client) -> None:
        request = (
            f"GET /ws/a{client.number} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: desk.v1\r\n\r\n"
        )
        self._selector.modify(client.sock, selectors.EVENT_READ, client)
        self._send(client, request.encode())

    def _identify(self, client: Client) -> None:
        frame = {
            "op": "identify", "protocol": 1, "client": "bench/1", "device": "d-bench-000",
            "tab": f"t-bench-{client.number}", "visible": True, "watch": {STREAM: None},
        }  # fmt: skip
        self._send(client, _masked(_TEXT, json.dumps(frame, separators=(",", ":")).encode()))

    def _send(self, client: Client, data: bytes) -> None:
        try:
            if client.sock.send(data) == len(data):
                return
        except OSError:
            pass
        self._lose(client)

    def _lose(self, client: Client) -> None:
        if client.sock.fileno() >= 0:
            self._selector.unregister(client.sock)
            client.sock.close()
            self._lost += not client.is_in
            self._disordered += client.is_in  # nobody is to go while we count

    # --- what comes in --------------------------------------------------------------------------

    def _read(self, client: Client) -> None:
        try:
            data = client.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(client)
            return
        if client.rest:
            data = client.rest + data
        client.rest = data[self._take(client, data) :]
        now = time.monotonic()
        if client.unacked >= ACK_EVENTS:  # a full window would wait for us, but not every time
            self._acknowledge_at(client, client.acked_at + ACK_GAP_S, now)
        elif client.unacked and not client.ack_due:
            soon = max(now + ACK_LATE_S, client.acked_at + ACK_EVERY_S)
            self._acknowledge_at(client, soon, now)

    def _acknowledge_at(self, client: Client, due: float, now: float) -> None:
        if due <= now:
            self._acknowledge(client, now)
        elif not client.ack_due or due < client.ack_due:
            client.ack_due = due
            heapq.heappush(self._waiting, (due, client.number, client))

    def _take(self, client: Client, data: bytes) -> int:
        """Every whole frame; how many bytes that was. A server's frames are not masked."""
        at = 0 if client.is_upgraded else self._take_head(client, data)
        end = len(data)
        while client.is_upgraded and end - at >= 2:
            head, length = 2, data[at + 1]
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[at + 2 : at + head], "big")
            start = at + head
            if end < start or end - start < length:
                break
            if data[at] & 15 == _TEXT:
                self._text(client, data, start)
            else:
                self._control(client, data[at] & 15, data[start : start + length])
            at = start + length
        return at

    def _take_head(self, client: Client, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        if not data.startswith(b"HTTP/1.1 101 "):
            self._lose(client)
            return len(data)
        client.is_upgraded = True
        self._identify(client)
        return end + 4

    def _text(self, client: Client, data: bytes, start: int) -> None:
        if data.startswith(_EVENT, start):
            self._event(client, data, start)
        elif data.startswith(_WATCHED, start):
            client.position = _number(data, _POSITION, start)
        elif data.startswith(_PING, start):
            self._send(client, _masked(_TEXT, b'{"op":"pong"}'))
        elif data.startswith(_LIVE, start) and not client.is_in:
            client.is_in = True
            self._arrived += 1

    def _control(self, client: Client, opcode: int, body: bytes) -> None:
        if opcode == _PING_FRAME:
            self._send(client, _masked(_PONG_FRAME, body))
        elif opcode == _CLOSE:
            self._lose(client)

    def _event(self, client: Client, data: bytes, start: int) -> None:
        position = _number(data, _POSITION, start)
        if position != client.position + 1:
            self._disordered += 1
        client.position = position
        client.events += 1
        client.unacked += 1
        self._events += 1
        if self._is_timed:
            sent, now = _number(data, _AT, start), time.monotonic_ns()
            self._late_ms.append((now - sent) / 1e6)
            self._last[sent] = now

    def _acknowledge(self, client: Client, now: float) -> None:
        client.unacked = 0
        client.acked_at = now
        client.ack_due = 0.0
        ack = b'{"op":"ack","positions":{"%b":%d}}' % (STREAM.encode(), client.position)
        self._send(client, _masked(_TEXT, ack))

    def _acknowledge_late(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            due, _, client = heapq.heappop(self._waiting)
            if due == client.ack_due:  # not acknowledged since
                self._acknowledge(client, now)

    # --- counting -------------------------------------------------------------------------------

    def _begin(self, *, is_timed: bool) -> dict[str, Any]:
        self._events = self._disordered = 0
        self._is_timed = is_timed
        self._late_ms = array("d")
        self._last = {}
        for client in self._clients:
            client.events = 0
        self._cpu_at_begin = time.process_time()
        return {"begun": True}

    def _end(self, events: int, wait_s: float) -> dict[str, Any]:
        """Once every client has had `events`, or the time is over."""
        deadline = time.monotonic() + wait_s
        while self._events < events * len(self._clients) and time.monotonic() < deadline:
            self.turn()
        self.turn()  # what comes twice comes late
        counts = [client.events for client in self._clients]
        found: dict[str, Any] = {
            "deliveries": self._events,
            "is_whole": set(counts) == {events} and not self._disordered,
            "cpu_s": time.process_time() - self._cpu_at_begin,
        }
        if self._is_timed and self._last:
            last_ms = [(last - sent) / 1e6 for sent, last in self._last.items()]
            found |= {"late_ms": _middle_and_end(self._late_ms)}
            found |= {"last_ms": _middle_and_end(last_ms)}
        return found


def _middle_and_end(values: Sequence[float]) -> tuple[float, float]:
    """The median and p99."""
    if len(values) < 2:
        return values[0], values[0]
    p99 = statistics.quantiles(values, n=100, method="inclusive")[98]
    return statistics.median(values), p99


def _number(data: bytes, name: bytes, start: int) -> int:
    """The number behind `name` in a frame of ours, which always has it and something after it."""
    begin = data.index(name, start) + len(name)
    return int(data[begin : data.index(b",", begin)])


def _masked(opcode: int, body: bytes) -> bytes:
    """A client's frame; a mask of zeros leaves the bytes as they are."""
    short = len(body) < 126
    head = bytes((0x80 | opcode, 0x80 | (len(body) if short else 126)))
    return head + (b"" if short else len(body).to_bytes(2, "big")) + bytes(4) + body
