// The stock client of Mattermost on a cluster: three nodes, one Redis, a balancer. The
// node that holds it is killed with SIGKILL, again and again, while events flow; the
// client must keep its connection id and miss nothing.

import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { check, finish, same, sleep, test, until } from "./support.mjs";

globalThis.WebSocket = WebSocket;
globalThis.CloseEvent ??= class CloseEvent extends Event {};
const { WebSocketClient } = (await import("@mattermost/client")).default;
console.log = () => {};

const HERE = path.dirname(fileURLToPath(import.meta.url));
const KILLS = Number(process.env.KILLS ?? 3);

/** scripts/cluster, as a person would start it. */
class Cluster {
  nodes = [];

  static async start() {
    const cluster = new Cluster();
    const script = path.join(HERE, "../../scripts/cluster");
    cluster.child = spawn(script, ["--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    cluster.child.stdout.on("data", (some) => { text += some; });
    await until("the cluster", () => text.includes("Ctrl-C ends"), 300_000);
    for (const [, id, address, pid, internal] of text.matchAll(/^(node-\d+) +http:\/\/(\S+) \(pid (\d+)\), internal (\S+)$/gm)) {
      cluster.nodes.push({ id, address, pid: Number(pid), internal });
    }
    cluster.url = /^balancer +http:\/\/(\S+)$/m.exec(text)[1];
    cluster.token = /^token alice (\S+)$/m.exec(text)[1];
    cluster.text = text;
    return cluster;
  }

  get alive() {
    return this.nodes.filter((node) => !node.dead);
  }

  kill(id) {
    const node = this.nodes.find((one) => one.id === id);
    node.dead = true;
    process.kill(node.pid, "SIGKILL");
  }

  async publish(n) {
    const body = JSON.stringify({ event: "numbered", data: { n }, to: { user: "alice" }, id: `n-${n}` });
    for (;;) {
      const node = this.alive[n % this.alive.length];
      try {
        const answer = await fetch(`${node.internal}/api/v1/publish`, {
          method: "POST", body, headers: { "content-type": "application/json" },
        });
        if (answer.ok) return;
        check(answer.status === 503, `publish: ${answer.status} ${await answer.text()}`);
      } catch { /* the node has just died: another one takes it */ }
      await sleep(50);
    }
  }

  async end() {
    this.child.kill("SIGINT");
    await until("the end of the cluster", () => this.child.exitCode !== null, 30_000);
  }
}

const cluster = await Cluster.start();

await test("there are three nodes behind the balancer", async () => {
  same(cluster.nodes.length, 3, "nodes");
  const answer = await fetch(`${cluster.nodes[0].internal}/api/v1/nodes`);
  const { nodes } = await answer.json();
  same(nodes.map((node) => node.id).sort(), ["node-1", "node-2", "node-3"], "/nodes");
});

await test(`a stock client keeps its connection over ${KILLS - 1} kills of its node`, async () => {
  const numbers = [];
  const ids = new Set();
  let host = "";
  let missed = 0;
  const client = new WebSocketClient({
    newWebSocketFn: (url) => new WebSocket(url, { headers: { authorization: `Bearer ${cluster.token}` } }),
  });
  client.addMessageListener((message) => {
    if (message.event === "hello") {
      ids.add(message.data.connection_id);
      host = message.data.server_hostname;
    }
    if (message.event === "numbered") numbers.push(message.data.n);
  });
  client.addMissedMessageListener(() => { missed += 1; });
  client.initialize(`ws://${cluster.url}/api/v4/websocket`, undefined, true);
  await until("hello", () => ids.size > 0);
  let next = 0;
  const flow = async (count) => {
    for (const end = next + count; next < end; next += 1) await cluster.publish(next);
  };
  await flow(50);
  for (let kill = 1; kill < KILLS; kill += 1) {
    const [id] = ids;
    const answer = await fetch(`${cluster.alive[0].internal}/api/v1/connections/${id}`);
    const holder = answer.ok ? (await answer.json()).node : host;
    cluster.kill(holder);
    await flow(100);
    await until("every event", () => numbers.length === next, 30_000);
  }
  same(numbers, [...numbers.keys()], "the numbers, in order and once");
  same(ids.size, 1, "connection ids");
  same(missed, 0, "missed-message callbacks");
  client.close();
});

await test("Ctrl-C ends all of it", async () => {
  await cluster.end();
  const port = Number(/redis:\/\/127\.0\.0\.1:(\d+)/.exec(cluster.text)[1]);
  const refused = await new Promise((resolve) => {
    net.connect(port, "127.0.0.1").on("connect", () => resolve(false)).on("error", () => resolve(true));
  });
  check(refused, "Redis still listens");
  for (const node of cluster.nodes) check(!fs.existsSync(`/proc/${node.pid}`), `${node.id} still runs`);
});

finish();
