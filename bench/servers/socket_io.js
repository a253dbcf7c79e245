// Socket.IO under the same lines on stdin as driver.py. Only run if the package is there already.
"use strict";
const http = require("http");
const { Server } = require("socket.io");
const { obey, text } = require("./driver.js");

const door = http.createServer();
const server = new Server(door, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

obey({
  broadcast(n, at, size) {
    server.emit("new_message", JSON.parse(text(n, at, size)));
  },
});
door.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: door.address().port })}\n`);
});
