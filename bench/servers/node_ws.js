// node `ws` under the same lines on stdin as driver.py. Only run if the package is there already.
"use strict";
const { WebSocketServer, WebSocket } = require("ws");
const { obey, text } = require("./driver.js");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 4096 });
const people = new Map();

server.on("connection", (client, request) => {
  const name = request.url.slice(request.url.lastIndexOf("/") + 1);
  people.set(name, client);
  client.on("close", () => people.get(name) === client && people.delete(name));
});
server.on("listening", () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`));

function send(client, data) {
  if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
}

obey({
  broadcast(n, at, size) {
    const data = Buffer.from(text(n, at, size));
    for (const client of people.values()) send(client, data);
  },
  push(name, n, at, size) {
    send(people.get(name), Buffer.from(text(n, at, size)));
  },
});
