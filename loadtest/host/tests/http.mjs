// A kept socket that the server ends while a request is on its way is no failure; a
// server that has gone is.
import assert from "node:assert/strict";
import http from "node:http";

import k6 from "../modules/http.mjs";

const server = http.createServer((request, response) => {
  request.resume();
  request.on("end", () => response.end("{}"));
});
let cut = 0;
server.on("connection", (socket) => {
  let heard = 0;
  socket.on("data", () => {
    heard += 1;
    // Just as if its idle time had ended a moment before.
    if (heard === 2) {
      cut += 1;
      socket.destroy();
    }
  });
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${server.address().port}/`;
const post = () => k6.asyncRequest("POST", url, "{}", { timeout: "5s" });

for (let number = 0; number < 10; number += 1) {
  assert.equal((await post()).status, 200);
}
assert.equal(cut, 5);
server.closeAllConnections();
await new Promise((closed) => server.close(closed));
const last = await post();
assert.equal(last.status, 0);
assert.match(last.error, /ECONNREFUSED/);
process.exit(0);
