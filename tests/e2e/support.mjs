// What every end-to-end script needs: a server, its API, a TCP proxy that can cut
// connections, and a list of checks with a plain last line.
//
// The server: HUBBUB_BIN is started (default: the debug build), unless
// HUBBUB_PUBLIC, HUBBUB_INTERNAL, HUBBUB_TOKEN_ALICE and HUBBUB_TOKEN_BOB name a
// running one; HUBBUB_API_KEY is sent to its API when set.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { fileURLToPath } from "node:url";
import path from "node:path";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const BINARY = process.env.HUBBUB_BIN ?? path.join(HERE, "../../target/debug/hubbub");
const START_WITHIN_MS = 30_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `probe` gives something truthy, and gives that; fails after `within` ms. */
export async function until(what, probe, within = 10_000) {
  const deadline = Date.now() + within;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${within} ms: ${what}`);
    await sleep(20);
  }
}

export function check(condition, what) {
  if (!condition) throw new Error(what);
}

export function same(got, wanted, what) {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${what}: got ${left}, wanted ${right}`);
}

const print = (text) => process.stdout.write(`${text}\n`);
const results = { passed: 0, failed: 0 };

/** Runs one check; a failure does not keep the others from running. */
export async function test(name, body) {
  const began = Date.now();
  try {
    await body();
    results.passed += 1;
    print(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    results.failed += 1;
    print(`FAIL ${name}\n     ${error.stack ?? error}`);
  }
}

/** The last line and the exit code. */
export function finish() {
  print(`${results.passed} passed, ${results.failed} failed`);
  process.exit(results.failed === 0 && results.passed > 0 ? 0 : 1);
}

/** A server: its addresses, its tokens, its API, and how to stop it. */
export class Server {
  #child = null;
  /** How the last process ended: null while it runs, and after a signal. */
  exitCode = null;

  static async start(options = {}) {
    const server = new Server();
    if (process.env.HUBBUB_PUBLIC && !options.own) {
      server.publicUrl = process.env.HUBBUB_PUBLIC;
      server.internalUrl = process.env.HUBBUB_INTERNAL;
      server.tokens = { alice: process.env.HUBBUB_TOKEN_ALICE, bob: process.env.HUBBUB_TOKEN_BOB };
      return server;
    }
    await server.#spawn("127.0.0.1:0", "127.0.0.1:0", options.args ?? []);
    return server;
  }

  get publicPort() {
    return Number(new URL(this.publicUrl).port);
  }

  /** The same ports, a new process. */
  async startAgain() {
    await this.#spawn(new URL(this.publicUrl).host, new URL(this.internalUrl).host, []);
  }

  async #spawn(listen, internal, args) {
    const child = spawn(BINARY, [
      "serve", "--dev", "--listen", listen, "--internal-listen", internal, "--set", "shutdown.drain=2s", ...args,
    ], {
      env: { ...process.env, RUST_BACKTRACE: "0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    // Whatever ends this script, its server goes with it.
    process.once("exit", () => child.kill("SIGKILL"));
    let out = "";
    let err = "";
    child.stdout.on("data", (data) => { out += data; });
    child.stderr.on("data", (data) => { err = (err + data).slice(-4000); });
    child.on("error", (error) => { err += String(error); });
    const line = (pattern) => out.match(pattern)?.[1];
    await until("the server prints its lines", () => {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}: ${err}`);
      return line(/^token bob (\S+)$/m);
    }, START_WITHIN_MS);
    this.publicUrl = line(/^public\s+(\S+)$/m);
    this.internalUrl = line(/^internal\s+(\S+)$/m);
    this.tokens = { alice: line(/^token alice (\S+)$/m), bob: line(/^token bob (\S+)$/m) };
    this.lastErrors = () => err;
  }

  /** Ends the process that this script started, if any. */
  async stop(signal = "SIGTERM") {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    const kill = setTimeout(() => child.kill("SIGKILL"), 60_000);
    [this.exitCode] = await ended;
    clearTimeout(kill);
  }

  socketUrl(route) {
    return this.publicUrl.replace(/^http/, "ws") + route;
  }

  /** A call of the server API; fails unless it answers 2xx. */
  async api(method, route, body) {
    const headers = { "content-type": "application/json" };
    if (process.env.HUBBUB_API_KEY) headers.authorization = `Bearer ${process.env.HUBBUB_API_KEY}`;
    const answer = await fetch(`${this.internalUrl}/api/v1${route}`, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    check(answer.ok, `${method} ${route}: ${answer.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  publish(event) {
    return this.api("POST", "/publish", event);
  }

  /** Publishes up to 256 events at once; fails unless each has a position. */
  async publishBatch(events) {
    const { results: answers } = await this.api("POST", "/publish/batch", { events });
    same(answers.length, events.length, "answers of a batch");
    for (const answer of answers) check(answer.position, `refused in a batch: ${JSON.stringify(answer)}`);
    return answers;
  }
}

/** Passes TCP through to `port`; `cut()` resets every connection that is open. */
export class CuttingProxy {
  #pairs = new Set();
  #server;
  cuts = 0;

  static async start(port) {
    const proxy = new CuttingProxy();
    proxy.#server = net.createServer((near) => proxy.#join(near, port));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port() {
    return this.#server.address().port;
  }

  get open() {
    return this.#pairs.size;
  }

  /** Gives the number of connections that were cut. */
  cut() {
    const count = this.#pairs.size;
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
    this.cuts += count;
    return count;
  }

  stop() {
    this.cut();
    this.#server.close();
  }

  #join(near, port) {
    const far = net.connect(port, "127.0.0.1");
    const pair = [near, far];
    this.#pairs.add(pair);
    near.setNoDelay(true);
    far.setNoDelay(true);
    near.pipe(far);
    far.pipe(near);
    const end = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) {
      socket.on("error", end);
      socket.on("close", end);
    }
  }
}
