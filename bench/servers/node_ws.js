// node `ws` under the same lines on stdin as driver.py. Only run if the package is there already.
"use strict";
const { WebSocketServer, WebSocket } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 4096 });
server.on("listening", () => say({ port: server.address().port }));

const now = () => process.hrtime.bigint();
const say = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);

function event(n, size) {
  const made = { type: "new_message", n, at: 0, body: "" };
  const at = now();
  const head = JSON.stringify(made).length + String(at).length - 1;
  const body = "x".repeat(Math.max(0, size - head));
  return [String(at), `{"type":"new_message","n":${n},"at":${at},"body":"${body}"}`];
}

function broadcast(n, size) {
  const [at, text] = event(n, size);
  const data = Buffer.from(text);
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
  }
  return at;
}

function run(seconds, perSecond, burst, size) {
  const began = now();
  const end = began + BigInt(Math.round(seconds * 1e9));
  const sent = [];
  let next = began;
  const finish = () => {
    const at = perSecond > 0 ? sent.join(",") : "";
    process.stdout.write(`{"events":${sent.length},"seconds":${Number(now() - began) / 1e9},"stuck":false,"at":[${at}]}\n`);
  };
  const step = () => {
    if (now() >= end) return finish();
    for (let k = 0; k < burst; k++) sent.push(broadcast(sent.length, size));
    if (!(perSecond > 0)) return setImmediate(step);
    next += BigInt(Math.round(1e9 / perSecond));
    if (next >= end) return finish();
    setTimeout(step, Math.max(0, Number(next - now()) / 1e6));
  };
  step();
}

let rest = "";
process.stdin.on("data", (data) => {
  rest += data;
  for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
    const [verb, ...words] = rest.slice(0, end).split(" ");
    rest = rest.slice(end + 1);
    const numbers = words.map(Number);
    if (verb === "flood") run(numbers[0], 0, numbers[1], numbers[2]);
    else run(numbers[0], numbers[1], numbers[2], numbers[3]);
  }
});
process.stdin.on("end", () => process.exit(0));
