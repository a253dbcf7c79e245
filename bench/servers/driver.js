// driver.py's lines on stdin for the servers on node: flood, pace and push.
"use strict";

const PUSHES_PER_TURN = 20;
const now = () => process.hrtime.bigint();

// An event of exactly `size` bytes of JSON; its length is that of what stands around its body.
function text(n, at, size) {
  const head = `{"type":"new_message","n":${n},"at":${at},"body":"`;
  return `${head}${"x".repeat(Math.max(0, size - head.length - 2))}"}`;
}

function run(seconds, perSecond, broadcast) {
  const began = now();
  const end = began + BigInt(Math.round(seconds * 1e9));
  const sent = [];
  let next = began;
  const finish = () => {
    const at = perSecond > 0 ? sent.join(",") : "";
    const took = Number(now() - began) / 1e9;
    process.stdout.write(`{"events":${sent.length},"seconds":${took},"stuck":false,"at":[${at}]}\n`);
  };
  const step = () => {
    if (now() >= end) return finish();
    broadcast(sent);
    if (!(perSecond > 0)) return setImmediate(step);
    next += BigInt(Math.round(1e9 / perSecond));
    if (next >= end) return finish();
    setTimeout(step, Math.max(0, Number(next - now()) / 1e6));
  };
  step();
}

function several(count, send) {
  return (sent) => {
    for (let k = 0; k < count; k++) {
      const at = now();
      send(sent.length, at);
      sent.push(at);
    }
  };
}

function obey(server) {
  const obeyLine = (line) => {
    const [verb, ...words] = line.split(" ");
    const [a, b, c, d] = words.map(Number);
    if (verb === "flood") run(a, 0, several(b, (n, at) => server.broadcast(n, at, c)));
    else if (verb === "pace") run(a, b, several(c, (n, at) => server.broadcast(n, at, d)));
    else if (verb === "push" && server.push) {
      const somebody = () => `a${Math.floor(Math.random() * c)}`;
      run(a, 0, several(PUSHES_PER_TURN, (n, at) => server.push(somebody(), n, at, b)));
    } else process.stdout.write(`${JSON.stringify({ unknown: line })}\n`);
  };
  let rest = "";
  process.stdin.on("data", (data) => {
    rest += data;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      obeyLine(rest.slice(0, end));
      rest = rest.slice(end + 1);
    }
  });
  process.stdin.on("end", () => process.exit(0));
}

module.exports = { obey, text };
