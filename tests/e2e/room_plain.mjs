// npm's `ws` against the rooms: one frame per message, line feeds kept, text
// checked, slow readers bounded, history and resume in the JSON form, and a stop
// that says goodbye.

import WebSocket from "ws";
import { Server, check, finish, same, test, until } from "./support.mjs";

const server = await Server.start({ own: true });
let room = 0;
const newRoom = () => `e2e-${process.pid}-${room += 1}`;

/** A client that keeps what it was sent and how it ended. */
class Client {
  frames = [];
  close = null;

  static async open(route, { protocols = [], headers = {} } = {}) {
    const client = new Client();
    client.socket = new WebSocket(server.socketUrl(route), protocols, { headers, perMessageDeflate: false });
    client.socket.on("message", (data, binary) => client.frames.push({ data, binary }));
    client.socket.on("close", (code, reason) => { client.close = { code, reason: String(reason) }; });
    await new Promise((resolve, reject) => {
      client.socket.on("open", resolve);
      client.socket.on("error", reject);
    });
    client.socket.removeAllListeners("error").on("error", () => {});
    return client;
  }

  get texts() {
    return this.frames.map(({ data }) => String(data));
  }

  get messages() {
    return this.texts.map((text) => JSON.parse(text));
  }

  /** Sends a text frame with any bytes; `ws` itself would not send what is not UTF-8. */
  sendRawText(bytes) {
    const mask = Buffer.from([1, 2, 3, 4]);
    const masked = Buffer.from(bytes.map((byte, index) => byte ^ mask[index % 4]));
    this.socket._socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length]), mask, masked]));
  }

  async heard(text, within) {
    await until(`"${text.slice(0, 40)}"`, () => this.texts.includes(text), within);
  }

  async closed(within = 10_000) {
    return until("close", () => this.close, within);
  }

  end() {
    this.socket.terminate();
  }
}

const pair = async (name) => Promise.all([Client.open(`/ws/room/${name}?name=ann`), Client.open(`/ws/room/${name}?name=ben`)]);
const V1 = ["hubbub.room.v1"];

await test("what one sends is what all get, the sender included, in one order", async () => {
  const [ann, ben] = await pair(newRoom());
  for (let n = 0; n < 10; n += 1) {
    ann.socket.send(`a${n}`);
    ben.socket.send(`b${n}`);
  }
  await until("20 messages each", () => ann.frames.length === 20 && ben.frames.length === 20);
  same(ann.texts, ben.texts, "one order for all");
  same(ann.texts.filter((text) => text.startsWith("a")), [...Array(10).keys()].map((n) => `a${n}`), "order of one sender");
  ann.end();
  ben.end();
});

await test("/ws is the lobby, rooms are apart", async () => {
  const lobby = await Client.open("/ws");
  const named = await Client.open("/ws/room/lobby");
  const other = await Client.open(`/ws/room/${newRoom()}`);
  named.socket.send("to the lobby");
  await lobby.heard("to the lobby");
  other.socket.send("elsewhere");
  await other.heard("elsewhere");
  same(other.texts, ["elsewhere"], "heard in the other room");
  same(lobby.texts, ["to the lobby"], "heard in the lobby");
  for (const client of [lobby, named, other]) client.end();
});

await test("1: 1,000 rapid messages to a paused reader are 1,000 events, none joined", async () => {
  const name = newRoom();
  const paused = await Client.open(`/ws/room/${name}`);
  const reading = await Client.open(`/ws/room/${name}`);
  paused.socket.pause();
  for (let from = 0; from < 1_000; from += 200) {
    await server.publishBatch(Array.from({ length: 200 }, (_, index) => ({
      event: "message", to: { room: name }, data: { text: `message ${from + index}` },
    })));
  }
  await until("the other reader is through", () => reading.frames.length === 1_000, 20_000);
  same(paused.frames.length, 0, "frames that a paused reader saw");
  paused.socket.resume();
  await until("1,000 events", () => paused.frames.length >= 1_000 || paused.close, 20_000);
  same(paused.close, null, "close");
  same(paused.texts, Array.from({ length: 1_000 }, (_, n) => `message ${n}`), "events");
  check(!paused.texts.some((text) => text.includes("\n")), "a joined message");
  paused.end();
  reading.end();
});

await test("2: line feeds are kept, one event", async () => {
  const [ann, ben] = await pair(newRoom());
  ann.socket.send("a\nb\r\n\n c ");
  await ben.heard("a\nb\r\n\n c ");
  same(ben.frames.length, 1, "events");
  ann.end();
  ben.end();
});

await test("3: 0xFF in text closes only its sender, with 1007; kinds are kept", async () => {
  const [ann, ben] = await pair(newRoom());
  ann.sendRawText([0x68, 0xff, 0x69]);
  same((await ann.closed()).code, 1007, "close code of the sender");
  const binary = Buffer.from([0xff, 0x00, 0xfe]);
  ben.socket.send(binary);
  await until("binary message", () => ben.frames.length === 1);
  check(ben.frames[0].binary && ben.frames[0].data.equals(binary), "binary came back as something else");
  ben.socket.send("still here");
  await ben.heard("still here");
  same([ben.close, ben.frames.length], [null, 2], "the other one");
  ben.end();
});

await test("over 512 bytes closes with 1009; 512 bytes pass", async () => {
  const [ann, ben] = await pair(newRoom());
  ann.socket.send("x".repeat(512));
  await ben.heard("x".repeat(512));
  ann.socket.send("x".repeat(513));
  same((await ann.closed()).code, 1009, "close code");
  same(ben.frames.length, 1, "messages of the other one");
  ben.end();
});

await test("4: a stalled reader is closed in its bounds, the others hear everything", async () => {
  const name = newRoom();
  const stalled = await Client.open(`/ws/room/${name}`, { protocols: V1 });
  const reading = await Client.open(`/ws/room/${name}`, { protocols: V1 });
  await until("hello", () => stalled.frames.length === 1 && reading.frames.length === 1);
  const { connection_id: id } = stalled.messages[0];
  stalled.socket.pause();
  const text = "y".repeat(8_000);
  let sent = 0;
  // More than any socket buffer and outbox together.
  for (let batch = 0; batch < 25; batch += 1) {
    await server.publishBatch(Array.from({ length: 60 }, () => ({
      event: "message", to: { room: name }, data: { text: `${sent += 1} ${text}` },
    })));
    await until("the reading one keeps up", () => reading.frames.length === sent + 1, 20_000);
  }
  same(reading.close, null, "close of the reading one");
  stalled.socket.resume();
  const close = await stalled.closed(20_000);
  same(close.code, 4431, `close code (${close.reason})`);
  check(close.reason.length > 0, "a close without a reason");
  const seqs = stalled.messages.map((message) => message.seq);
  same(seqs, seqs.map((_, index) => index), "what it got before, without a gap");

  // What it asks for is far behind: replayed, or refused with a hello, but never a gap.
  const again = await Client.open(`/ws/room/${name}?connection_id=${id}&sequence_number=${seqs.length}`, { protocols: V1 });
  await until("something", () => again.frames.length > 0);
  const [first] = again.messages;
  if (first.type === "hello") check(first.connection_id !== id && first.seq === 0, `hello ${first.connection_id} ${first.seq}`);
  else same(first.seq, seqs.length, "first seq after the resume");
  for (const client of [stalled, reading, again]) client.end();
});

await test("5: empty and blank messages are dropped", async () => {
  const [ann, ben] = await pair(newRoom());
  for (const text of ["", " ", "\n\t ", "word"]) ann.socket.send(text);
  await ben.heard("word");
  same(ben.texts, ["word"], "messages");
  ann.end();
  ben.end();
});

await test("7: names, ids, history and resume in the JSON form; plain clients share the room", async () => {
  const name = newRoom();
  const ann = await Client.open(`/ws/room/${name}?name=ann`, { protocols: V1 });
  const plain = await Client.open(`/ws/room/${name}`);
  same(ann.socket.protocol, V1[0], "subprotocol");
  await until("hello", () => ann.frames.length === 1);
  const [hello] = ann.messages;
  same([hello.type, hello.seq, hello.user, hello.room, hello.history], ["hello", 0, "~ann", name, []], "hello");

  const said = { text: "once", id: "my-own-id" };
  ann.socket.send(JSON.stringify(said));
  await plain.heard("once");
  await until("message", () => ann.frames.length === 2);
  const [, message] = ann.messages;
  same([message.type, message.seq, message.id, message.user, message.text], ["message", 1, "my-own-id", "~ann", "once"], "message");
  check(Math.abs(Date.now() - message.at) < 60_000, `at ${message.at}`);

  // The same id again is the same message; another text with it is refused.
  ann.socket.send(JSON.stringify(said));
  ann.socket.send(JSON.stringify({ text: "other", id: "my-own-id" }));
  await until("error", () => ann.messages.some((one) => one.type === "error"));
  plain.socket.send("from plain");
  await until("plain message", () => ann.messages.some((one) => one.text === "from plain"));
  same(plain.texts, ["once", "from plain"], "what the plain client heard");

  const user = await Client.open(`/ws/room/${name}`, { protocols: V1, headers: { authorization: `Bearer ${server.tokens.alice}` } });
  await until("hello", () => user.frames.length === 1);
  same(user.messages[0].user, "alice", "a user's name has no mark");
  same(user.messages[0].history.map((one) => one.text), ["once", "from plain"], "history");

  const next = ann.messages.filter((one) => one.seq !== undefined).length;
  ann.end();
  plain.socket.send("while away");
  await plain.heard("while away");
  const again = await Client.open(
    `/ws/room/${name}?name=ann&connection_id=${hello.connection_id}&sequence_number=${next}`, { protocols: V1 },
  );
  await until("replay", () => again.frames.length === 1);
  same([again.messages[0].seq, again.messages[0].text], [next, "while away"], "first after the resume");
  for (const client of [plain, user, again]) client.end();
});

await test("broken JSON closes with 1007, a wrong shape is answered", async () => {
  const client = await Client.open(`/ws/room/${newRoom()}`, { protocols: V1 });
  client.socket.send("[1]");
  client.socket.send("{\"text\":5}");
  await until("two errors", () => client.messages.filter((one) => one.type === "error").length === 2);
  client.socket.send("{\"text\":");
  same((await client.closed()).code, 1007, "close code");
});

await test("8: a stop says 1012 to everybody and ends with exit code 0", async () => {
  const name = newRoom();
  const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(`/ws/room/${name}`)));
  clients[0].socket.send("last words");
  await clients[19].heard("last words");
  const stopped = server.stop("SIGTERM");
  const codes = await Promise.all(clients.map(async (client) => (await client.closed(40_000)).code));
  same([...new Set(codes)], [1012], "close codes");
  await stopped;
  same(server.exitCode, 0, "exit code");
});

await server.stop();
finish();
