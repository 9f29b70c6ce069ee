// The stock client of Mattermost, unmodified, against the mattermost dialect:
// order and completeness, cuts of its connection while events flow, scoped
// typing, every action, the REST twins through the stock Client4.
//
// CUTS is how often each of CLIENTS clients is cut (default 4 cuts of 5 clients
// at the same time; CUTS=20 CLIENTS=1 is the long way). The client waits 3 to 5
// seconds after each cut.

import WebSocket from "ws";
import { CuttingProxy, Server, check, finish, same, sleep, test, until } from "./support.mjs";

// The client expects the globals of a browser, and before it is loaded.
globalThis.WebSocket = WebSocket;
globalThis.CloseEvent ??= class CloseEvent extends Event {
  constructor(type, { code = 0, reason = "", wasClean = false } = {}) {
    super(type);
    Object.assign(this, { code, reason, wasClean });
  }
};
const { Client4, WebSocketClient } = (await import("@mattermost/client")).default;
// The client talks on the console: kept apart, and searched for sequence errors.
const clientLog = [];
console.log = (...words) => clientLog.push(words.map(String).join(" "));

const CUTS = Number(process.env.CUTS ?? 4);
const CLIENTS = Number(process.env.CLIENTS ?? 5);
const ROUTE = "/api/v4/websocket";

const server = await Server.start();

/** A stock client with a record of all that it reports. */
class Listener {
  events = [];
  reconnects = 0;
  missed = 0;
  closes = 0;

  constructor({ token, by = "header", url = server.socketUrl(ROUTE) }) {
    const config = by === "challenge" ? {} : {
      newWebSocketFn: (address) => new WebSocket(address, {
        headers: by === "cookie" ? { cookie: `MMAUTHTOKEN=${token}` } : { authorization: `Bearer ${token}` },
      }),
    };
    this.client = new WebSocketClient(config);
    this.client.addMessageListener((message) => this.events.push(message));
    this.client.addReconnectListener(() => { this.reconnects += 1; });
    this.client.addMissedMessageListener(() => { this.missed += 1; });
    this.client.addCloseListener(() => { this.closes += 1; });
    this.client.initialize(url, by === "challenge" ? token : undefined, true);
  }

  static async start(options) {
    const listener = new Listener(options);
    await until("hello", () => listener.named("hello").length > 0);
    return listener;
  }

  named(name) {
    return this.events.filter((message) => message.event === name);
  }

  numbers(name) {
    return this.named(name).map((message) => message.data.n);
  }

  /** The reply to an action of the client's own methods. */
  ask(method, ...parameters) {
    return new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`no reply to ${method}`)), 5_000).unref();
      this.client[method](...parameters, resolve);
    });
  }

  close() {
    this.client.close();
  }
}

/** The seqs of what a client was handed must be 0, 1, 2 … */
function gapless(listener) {
  const seqs = listener.events.map((message) => message.seq);
  const wrong = seqs.findIndex((seq, index) => seq !== index);
  same(wrong, -1, `first wrong seq (${seqs.slice(Math.max(0, wrong - 2), wrong + 3)})`);
}

const range = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);

await test("hello by header, cookie and challenge", async () => {
  for (const by of ["header", "cookie", "challenge"]) {
    const listener = await Listener.start({ token: server.tokens.alice, by });
    const [hello] = listener.events;
    same([hello.event, hello.seq, hello.broadcast.user_id], ["hello", 0, "alice"], `first event by ${by}`);
    check(listener.client.connectionId.length >= 26, "no connection id");
    same((await listener.ask("ping")).data.text, "pong", "reply to ping");
    listener.close();
  }
});

await test("2,000 events to user, channel, team and everyone, in order and complete", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const bob = await Listener.start({ token: server.tokens.bob, by: "challenge" });
  const targets = [{ user: "alice" }, { channel: "town-square" }, { team: "main" }, { everyone: true }];
  const event = (n) => ({ event: "e2e_load", to: targets[n % targets.length], data: { n, text: "x".repeat(100) } });
  for (const n of range(0, 200)) await server.publish(event(n));
  for (let from = 200; from < 2_000; from += 256) {
    await server.publishBatch(range(from, Math.min(from + 256, 2_000)).map(event));
  }
  await until("all events", () => alice.named("e2e_load").length >= 2_000 && bob.named("e2e_load").length >= 1_500, 20_000);
  same(alice.numbers("e2e_load"), range(0, 2_000), "alice's events");
  same(bob.numbers("e2e_load"), range(0, 2_000).filter((n) => n % 4 !== 0), "bob's events");
  const [toUser, toChannel, toTeam, toAll] = alice.named("e2e_load").map((message) => message.broadcast);
  same([toUser.user_id, toChannel.channel_id, toTeam.team_id], ["alice", "town-square", "main"], "broadcast");
  same([toAll.user_id, toAll.channel_id, toAll.team_id], ["", "", ""], "broadcast to everyone");
  for (const listener of [alice, bob]) {
    gapless(listener);
    same([listener.missed, listener.closes], [0, 0], "missed, closes");
    listener.close();
  }
});

await test("who is omitted, not addressed or not a member gets nothing", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const bob = await Listener.start({ token: server.tokens.bob });
  await server.publish({ event: "e2e_some", to: { channel: "town-square" }, data: { n: 1 }, omit_users: ["alice"] });
  await server.publish({ event: "e2e_some", to: { connection: bob.client.connectionId }, data: { n: 2 } });
  await server.publish({ event: "e2e_some", to: { everyone: true }, data: { n: 3 }, omit_connection: alice.client.connectionId });
  await server.publish({ event: "e2e_some", to: { channel: "nobodys-channel" }, data: { n: 4 } });
  await server.publish({ event: "e2e_end", to: { everyone: true }, data: {} });
  for (const listener of [alice, bob]) await until("the end", () => listener.named("e2e_end").length === 1);
  same(alice.numbers("e2e_some"), [], "alice");
  same(bob.numbers("e2e_some"), [1, 2, 3], "bob");
  gapless(alice);
  gapless(bob);
  alice.close();
  bob.close();
});

await test(`${CUTS * CLIENTS} cuts while events flow: same connection, nothing missed, lost or doubled`, async () => {
  const proxies = await Promise.all(range(0, CLIENTS).map(() => CuttingProxy.start(server.publicPort)));
  const listeners = await Promise.all(proxies.map((proxy) => Listener.start({
    token: server.tokens.alice, url: `ws://127.0.0.1:${proxy.port}${ROUTE}`,
  })));
  const ids = listeners.map((listener) => listener.client.connectionId);
  same(new Set(ids).size, CLIENTS, "different connections");

  const targets = [{ user: "alice" }, { channel: "random" }, { team: "main" }, { everyone: true }];
  let sent = 0;
  let flowing = true;
  const flow = (async () => {
    while (flowing) {
      const batch = range(sent, sent + 8).map((n) => ({ event: "e2e_flow", to: targets[n % 4], data: { n } }));
      await server.publishBatch(batch);
      sent += 8;
      await sleep(40);
    }
  })();
  // It is awaited at the end; until then a failure of it is not an unhandled one.
  flow.catch(() => {});

  await Promise.all(listeners.map(async (listener, index) => {
    for (let cut = 1; cut <= CUTS; cut += 1) {
      // Cuts fall anywhere between two batches, also right after the resume.
      await sleep(100 + Math.random() * 600);
      const seen = listener.events.length;
      same(proxies[index].cut(), 1, "connections that were cut");
      await until(`reconnect ${cut}`, () => listener.reconnects >= cut, 15_000);
      await until("events after it", () => listener.events.length > seen, 10_000);
    }
  }));
  flowing = false;
  await flow;

  for (const [index, listener] of listeners.entries()) {
    await until(`all ${sent} events`, () => listener.named("e2e_flow").length >= sent, 20_000);
    same(listener.client.connectionId, ids[index], "connection id");
    same([listener.missed, listener.reconnects, listener.named("hello").length], [0, CUTS, 1], "missed, reconnects, hellos");
    same(listener.numbers("e2e_flow"), range(0, sent), "events");
    gapless(listener);
    listener.close();
  }
  same(clientLog.filter((line) => line.includes("missed websocket event")), [], "sequence errors");
  proxies.forEach((proxy) => proxy.stop());
});

await test("a reconnect over a half open socket resumes as well", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const id = alice.client.connectionId;
  // The client gives its socket up without a word, as after a lost way: the server still holds it.
  const old = alice.client.conn;
  old._socket.pause();
  old.onclose({ code: 4000 });
  old.onmessage = () => {};
  await server.publish({ event: "e2e_open", to: { user: "alice" }, data: { n: 1 } });
  await until("reconnect", () => alice.reconnects === 1, 10_000);
  await server.publish({ event: "e2e_open", to: { user: "alice" }, data: { n: 2 } });
  await until("events", () => alice.named("e2e_open").length === 2);
  same([alice.numbers("e2e_open"), alice.client.connectionId, alice.missed], [[1, 2], id, 0], "events, id, missed");
  gapless(alice);
  old.terminate();
  alice.close();
});

await test("a connection that is unknown starts afresh and says so", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const stranger = "z".repeat(26);
  alice.client.connectionId = stranger;
  alice.client.conn.terminate();
  await until("missed-message callback", () => alice.missed === 1, 10_000);
  check(alice.client.connectionId !== stranger, "the unknown id was accepted");
  await server.publish({ event: "e2e_fresh", to: { user: "alice" }, data: { n: 1 } });
  await until("event", () => alice.named("e2e_fresh").length === 1);
  alice.close();
});

await test("typing reaches who looks at the channel; others get a no-op that the client accepts", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const bob = await Listener.start({ token: server.tokens.bob });
  await alice.ask("updateActiveChannel", "town-square");
  same((await bob.ask("userTyping", "town-square", "")).status, "OK", "reply to typing");
  await until("typing", () => alice.named("typing").length === 1);
  const [typing] = alice.named("typing");
  same([typing.data, typing.broadcast.channel_id], [{ parent_id: "", user_id: "bob" }, "town-square"], "typing event");
  same(bob.named("typing").length, 0, "typing events to the typist");

  await alice.ask("updateActiveChannel", "random");
  await alice.ask("updateActiveThread", false, "");
  await alice.ask("updateActiveThread", true, "");
  await bob.ask("userTyping", "town-square", "");
  await server.publish({ event: "e2e_after", to: { everyone: true }, data: {} });
  await until("the event after it", () => alice.named("e2e_after").length === 1);
  same(alice.named("typing").length, 1, "typing events to who looks elsewhere");
  const before = alice.events.at(alice.events.findIndex((message) => message.event === "e2e_after") - 1);
  same([before.event, before.data], ["hb_noop", undefined], "the event in its place");
  gapless(alice);
  same([alice.closes, alice.missed], [0, 0], "closes, missed");
  alice.close();
  bob.close();
});

await test("every action is answered", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const bob = await Listener.start({ token: server.tokens.bob });
  const ok = async (method, ...parameters) => {
    const reply = await alice.ask(method, ...parameters);
    same(reply.status, "OK", `${method}: ${JSON.stringify(reply)}`);
    return reply.data;
  };
  const pong = await ok("ping");
  check(pong.text === "pong" && typeof pong.version === "string" && pong.server_time > 1e12, `pong ${JSON.stringify(pong)}`);
  await ok("updateActiveChannel", "town-square");
  await ok("updateActiveTeam", "main");
  await ok("updateActiveThread", true, "town-square");
  await ok("userTyping", "town-square", "");
  await ok("userUpdateActiveStatus", true, false);
  await ok("sendMessage", "posted_notify_ack", { post_id: "p", user_agent: "", status: "success", reason: "", data: "" });
  const statuses = await ok("getStatuses");
  check(statuses.alice !== undefined && statuses.bob !== undefined, `statuses ${JSON.stringify(statuses)}`);
  const byIds = await ok("getStatusesByIds", ["alice", "bob", "nobody-at-all"]);
  same(byIds["nobody-at-all"], "offline", "an unknown user");
  same(Object.keys(byIds).length, 3, "statuses by ids");

  const fails = async (id, status, ...parameters) => {
    const reply = await alice.ask("sendMessage", ...parameters);
    same([reply.status, reply.error?.id, reply.error?.status_code], ["FAIL", id, status], parameters[0]);
    check(reply.seq_reply > 0, "no seq_reply");
  };
  await fails("api.web_socket_router.bad_action.app_error", 500, "no_such_action", {});
  await fails("api.web_socket_router.no_action.app_error", 400, "", {});
  await fails("api.websocket_handler.invalid_param.app_error", 400, "user_typing", {});
  await fails("api.websocket_handler.invalid_param.app_error", 400, "user_typing", { channel_id: "nobodys-channel" });
  await fails("api.websocket_handler.invalid_param.app_error", 400, "get_statuses_by_ids", { user_ids: [] });
  await fails("api.websocket_handler.invalid_param.app_error", 400, "user_update_active_status", {});
  same([alice.closes, alice.missed], [0, 0], "closes, missed");
  alice.close();
  bob.close();
});

await test("the stock Client4 reads and sets statuses, and the user hears of it", async () => {
  const alice = await Listener.start({ token: server.tokens.alice });
  const bob = await Listener.start({ token: server.tokens.bob });
  const rest = new Client4();
  rest.setUrl(server.publicUrl);
  rest.setToken(server.tokens.alice);
  same((await rest.ping(false)).status, "OK", "ping");

  await bob.ask("sendMessage", "subscribe_statuses", { user_ids: ["alice"] });
  const set = await rest.updateStatus({ user_id: "alice", status: "dnd" });
  same([set.user_id, set.status, set.manual], ["alice", "dnd", true], "what PUT answers");
  for (const listener of [alice, bob]) {
    await until("status_change", () => listener.named("status_change").some(
      ({ data }) => data.user_id === "alice" && data.status === "dnd",
    ));
  }
  same((await rest.getStatus("me")).status, "dnd", "status of me");
  same((await rest.getStatus("alice")).status, "dnd", "status of alice");
  const list = await rest.getStatusesByIds(["alice", "bob"]);
  same(list.map((one) => one.user_id).sort(), ["alice", "bob"], "statuses by ids");
  same((await rest.updateStatus({ user_id: "alice", status: "online" })).status, "online", "back online");

  const anonymous = new Client4();
  anonymous.setUrl(server.publicUrl);
  const refused = await anonymous.getStatus("alice").then(() => null, (error) => error);
  same(refused?.status_code, 401, "without a token");
  gapless(alice);
  gapless(bob);
  alice.close();
  bob.close();
});

await test("a bad token gets no hello and is closed with 4401", async () => {
  const socket = new WebSocket(server.socketUrl(ROUTE), { headers: { authorization: "Bearer nonsense" } });
  const heard = [];
  socket.on("message", (data) => heard.push(String(data)));
  await new Promise((resolve, reject) => {
    socket.on("open", resolve);
    socket.on("error", reject);
  });
  socket.send(JSON.stringify({ seq: 1, action: "authentication_challenge", data: { token: "nonsense" } }));
  const code = await new Promise((resolve) => socket.on("close", resolve));
  same(code, 4401, "close code");
  same(heard.filter((text) => text.includes("hello")), [], "hellos");
});

await server.stop();
finish();
