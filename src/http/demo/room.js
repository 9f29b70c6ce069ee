// The page of rooms, on the subprotocol `hubbub.room.v1`.
//
// Invariants: a message of this page leaves the outbox when the room shows it,
// so what was written survives a lost connection and a restarted server.

import { ResumingSocket, socketUrl } from "./socket.js";
import { Outbox } from "./outbox.js";
import { ConnectionState, MessageLog, composer } from "./view.js";

const PROTOCOL = "hubbub.room.v1";
/** What the server takes in one message when nobody configured otherwise. */
const MOST_BYTES = 512;
const WARN_BELOW_BYTES = 80;
const ROOM = /^(?!\.{1,2}$)[A-Za-z0-9_.@-]{1,64}$/u;
const TRIES_BEFORE_HINT = 3;

const $ = (id) => document.getElementById(id);
const bytes = new TextEncoder();

const log = new MessageLog({
  scroller: $("scroller"), list: $("messages"), pendingList: $("outbox"), more: $("more"),
});
const state = new ConnectionState($("state"));
let visit = null;

// This tab's own words first: another tab may be somebody else.
const remembered = {
  get(key) {
    const name = `hubbub.${key}`;
    try { return sessionStorage.getItem(name) ?? localStorage.getItem(name) ?? ""; } catch { return ""; }
  },
  set(key, value) {
    try {
      for (const storage of [sessionStorage, localStorage]) storage.setItem(`hubbub.${key}`, value);
    } catch { /* The page works without. */ }
  },
};

/** The room in the address; empty when there is none, or one that no path can name. */
function roomOfHash() {
  const room = new URLSearchParams(location.hash.slice(1)).get("room") ?? "";
  return ROOM.test(room) ? room : "";
}

function sizeOf(text) {
  return bytes.encode(text).length;
}

/** Only the pair is unique: everybody chooses ids for their own messages. */
function keyOf(message) {
  return `${message.user}/${message.id}`;
}

/** One stay in one room: a socket, an outbox, and who one is there. */
class Visit {
  constructor(room, name) {
    this.room = room;
    this.me = `~${name}`;
    this.outbox = new Outbox({
      key: `hubbub.outbox.${room}.${name}`,
      transmit: ({ id, text }) => this.socket?.send({ id, text }) ?? false,
      onChange: (items) => {
        log.pending(items, {
          retry: (id) => this.outbox.retry(id),
          discard: (id) => this.outbox.discard(id),
        });
        $("empty").hidden = !log.isEmpty || items.length > 0;
      },
      onSilence: () => this.socket.reconnect("no confirmation"),
    });
    this.socket = new ResumingSocket({
      protocols: [PROTOCOL],
      address: (resume) => socketUrl(`ws/room/${room}`, { name, ...resume }),
      helloId: (message) => (message.type === "hello" ? message.connection_id : null),
      onState: (change) => this.changed(change),
      onOpen: () => this.outbox.flush(),
      onHello: (hello, first) => this.hello(hello, first),
      onEvent: (event) => this.event(event),
      onReply: (reply) => {
        if (reply.type === "error" && !this.outbox.refuse(reply.message)) log.note(reply.message);
      },
    });
    this.socket.start();
  }

  changed(change) {
    state.show(change);
    $("state").dataset.resumed = String(this.socket?.resumed ?? "");
    if (change.name !== "waiting" && change.name !== "stopped") return;
    if (change.code === 1009) this.outbox.refuse("This message is too long for the server.");
    this.outbox.interrupted();
    if (change.attempt === TRIES_BEFORE_HINT && this.socket.connectionId === "") {
      log.note("No connection so far. The server may be down, or it may not admit guests.");
    }
  }

  hello(hello, first) {
    this.me = hello.user;
    $("who").textContent = hello.user;
    // Where nothing of the history is known, something in between may be unknown, too.
    const known = log.isEmpty || hello.history.some((message) => log.has(keyOf(message)));
    if (!first && !known) {
      log.note("This is a new connection: messages may be missing before this line.");
    }
    for (const message of hello.history) this.show(message);
    $("empty").hidden = !log.isEmpty;
    this.outbox.flush();
  }

  event(event) {
    if (event.type === "message") this.show(event);
  }

  show(message) {
    const own = message.user === this.me;
    const text = message.text ?? "(something that is not text)";
    log.add({ ...message, id: keyOf(message), text, own });
    $("empty").hidden = true;
    if (own) this.outbox.confirm(message.id);
  }

  end() {
    this.socket.stop();
    this.outbox.stop();
  }
}

function enter(room, name) {
  leave();
  remembered.set("name", name);
  remembered.set("room", room);
  const hash = `#${new URLSearchParams({ room })}`;
  if (location.hash !== hash) history.pushState(null, "", hash);
  document.title = `${room} · hubbub`;
  $("title").textContent = room;
  $("who").textContent = `~${name}`;
  for (const id of ["chat", "who", "state", "leave"]) $(id).hidden = false;
  $("gate").hidden = true;
  log.clear();
  visit = new Visit(room, name);
  log.toEnd();
  $("text").focus();
}

function leave() {
  visit?.end();
  visit = null;
  document.title = "hubbub";
  $("title").textContent = "hubbub";
  for (const id of ["chat", "who", "state", "leave"]) $(id).hidden = true;
  $("gate").hidden = false;
}

function fillGate() {
  $("name").value = remembered.get("name");
  $("room").value = roomOfHash() || remembered.get("room") || "lobby";
  ($("name").value === "" ? $("name") : $("room")).focus();
}

/** The address decides: a room in it is entered at once by who has a name. */
function followAddress() {
  const room = roomOfHash();
  const name = remembered.get("name");
  if (room !== "" && name !== "") {
    if (visit?.room !== room) enter(room, name);
    return;
  }
  leave();
  fillGate();
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("room").value, $("name").value);
});
$("leave").addEventListener("click", () => {
  history.pushState(null, "", location.pathname + location.search);
  leave();
  fillGate();
});
addEventListener("hashchange", followAddress);
addEventListener("popstate", followAddress);

composer({
  form: $("composer"),
  field: $("text"),
  onSend: (text) => {
    if (sizeOf(text) > MOST_BYTES) {
      $("text").focus();
      return false;
    }
    if (visit.outbox.add(text)) {
      log.toEnd();
      return true;
    }
    $("count").textContent = "Too many messages wait already.";
    return false;
  },
  onInput: (text) => {
    const left = MOST_BYTES - sizeOf(text);
    const near = left < WARN_BELOW_BYTES;
    $("count").textContent = left < 0 ? `${-left} bytes too long` : near ? `${left} bytes left` : "";
    $("count").classList.toggle("bad", left < 0);
    $("text").setAttribute("aria-invalid", String(left < 0));
  },
});

followAddress();
