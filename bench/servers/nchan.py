"""Nchan inside nginx: subscribers on WebSockets, one POST on loopback for each event.

What is weighed is nginx: this process only publishes, and stands on the load's side of the books.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from bench.servers.driver import Event, Hooks, Start, free_port, obey, raise_files, say
from bench.subjects import NCHAN, nginx_path

READY_S: Final = 10.0
CONFIGURATION: Final = """\
load_module {module};
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{
      nchan_publisher;
      nchan_channel_id all;
      nchan_store_messages off;
    }}
    location /ws/ {{
      nchan_subscriber websocket;
      nchan_channel_id all;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Publisher:
    """One kept connection; the next event goes when the last was answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def publish(self, event: Event) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        writer.write(
            b"POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Accept: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await self._answered(reader)

    async def _answered(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.split(b" ", 2)[1] not in (b"200", b"201", b"202"):
            raise RuntimeError(f"nginx answered {head[:40]!r}")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)


def _configuration(port: int, start: Start) -> Path:
    files = os.sysconf("SC_OPEN_MAX")
    path = start.folder / "nginx.conf"
    text = CONFIGURATION.format(
        module=next(found for found in NCHAN if found.exists()),
        user="user root;" if os.geteuid() == 0 else "",  # its folder is ours alone
        folder=start.folder.resolve(),
        files=files,
        connections=files - 50,
        port=port,
    )
    path.write_text(text, "utf-8")
    return path


async def _serve(port: int, nginx: subprocess.Popen[bytes]) -> None:
    publisher = Publisher(port)
    async with asyncio.timeout(READY_S):
        while True:
            with contextlib.suppress(OSError):
                await publisher.publish({"type": "ready"})
                break
            if nginx.poll() is not None:
                raise SystemExit("nginx has ended")
            await asyncio.sleep(0.05)
    say({"port": port, "pids": [nginx.pid, *_children(nginx.pid)]})
    await obey(Hooks(broadcast=publisher.publish))


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def run(start: Start) -> None:
    raise_files()
    port = free_port()
    configuration = _configuration(port, start)
    with subprocess.Popen(
        (nginx_path(), "-c", str(configuration), "-p", str(start.folder)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as nginx:
        try:
            asyncio.run(_serve(port, nginx))
        finally:
            nginx.send_signal(signal.SIGTERM)
