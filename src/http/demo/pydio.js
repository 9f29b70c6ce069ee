// The page of a workspace: its chat room on one socket, its files on another.
//
// Invariants: text from the network only ever becomes a text node; after each reconnect
// the page joins again and reads what it missed; a message is told apart by its name.

import { avatar, element } from "./view.js";

const WORKSPACE = "ws-common";
const ROOM = { Type: "WORKSPACE", RoomTypeObject: WORKSPACE };
const PAGE = 20;
const PING_MS = 15_000;
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];
const MOST_EVENTS = 50;
const FINAL_CODES = [4401, 4403, 4419];

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** A socket of one route that subscribes, and comes back when it is lost. */
class Route {
  #name;
  #token;
  #hear;
  #changed;
  #socket = null;
  #tries = 0;
  #timer = 0;
  #ended = false;

  constructor(name, token, { hear, changed }) {
    this.#name = name;
    this.#token = token;
    this.#hear = hear;
    this.#changed = changed;
    this.#open();
  }

  #open() {
    this.#changed("connecting");
    const url = new URL(`../../ws/${this.#name}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.addEventListener("open", () => {
      this.send({ "@type": "subscribe", jwt: this.#token });
      this.#changed("open");
    });
    socket.addEventListener("message", ({ data }) => {
      this.#tries = 0;
      this.#hear(JSON.parse(data));
    });
    socket.addEventListener("close", ({ code }) => {
      if (this.#ended || socket !== this.#socket) return;
      if (FINAL_CODES.includes(code)) {
        this.#changed("stopped");
        return;
      }
      this.#changed("waiting");
      const pause = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
      this.#tries += 1;
      this.#timer = setTimeout(() => this.#open(), pause * (0.75 + Math.random() / 2));
    });
  }

  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }
}

/** What people read: the server sends text that is safe as HTML. */
function plain(text) {
  return new DOMParser().parseFromString(text, "text/html").body.textContent ?? "";
}

/** One stay of one user. */
class Stay {
  #user;
  #room = "";
  #editing = null;
  #messages = new Map();
  #more = null;
  #anchor = null;

  constructor({ user, token }) {
    this.#user = user;
    this.chat = new Route("chat", token, {
      hear: (message) => this.#heard(message),
      changed: (state) => {
        this.#show(state);
        if (state === "open") {
          this.chat?.send({ "@type": "JOIN", Room: ROOM });
          this.#read(0);
        }
      },
    });
    this.events = new Route("event", token, { hear: (event) => this.#happened(event), changed() {} });
    const ping = { "@type": "JOIN", Room: ROOM, Message: { Message: "PING" } };
    this.pinging = setInterval(() => this.chat.send(ping), PING_MS);
  }

  end() {
    clearInterval(this.pinging);
    this.chat.end();
    this.events.end();
  }

  #show(state) {
    const words = { connecting: "Connecting", open: "Connected", waiting: "Waiting to reconnect", stopped: "Not allowed" };
    $("state").dataset.state = state;
    $("state").textContent = words[state];
    $("state").hidden = false;
  }

  #read(offset) {
    const paging = JSON.stringify({ Offset: offset, Limit: PAGE });
    this.chat?.send({ "@type": "HISTORY", Room: ROOM, Message: { Message: paging } });
  }

  earlier() {
    this.#anchor = $("messages").firstElementChild;
    if (this.#more !== null) this.#read(this.#more);
    this.#more = null;
    $("earlier").hidden = true;
  }

  #heard(message) {
    const verb = message["@type"];
    if (verb === "ROOM_UPDATE") this.#people(message.Room);
    else if (verb === "MAY_HAVE_MORE") {
      this.#more = message.Offset;
      $("earlier").hidden = false;
    } else if (verb === "DELETE_MSG") this.#gone(message.Message.Uuid);
    else if (verb === "error") $("note").textContent = message.error;
    else if (verb === undefined && message.Uuid) this.#said(message);
  }

  #people({ Uuid: uuid, RoomLabel: label, Users: users = [] }) {
    this.#room = uuid;
    $("place").textContent = label || WORKSPACE;
    $("people").replaceChildren(...users.map((user) => element(
      "li", { "data-user": user },
      element("span", { className: "face" }, avatar(user)),
      element("span", { className: "name" }, user === this.#user ? `${user} (you)` : user),
    )));
  }

  #said(message) {
    const known = this.#messages.get(message.Uuid);
    const line = this.#line(message);
    this.#messages.set(message.Uuid, { message, line });
    if (known) known.line.replaceWith(line);
    else this.#place(message, line);
    $("empty").hidden = true;
    $("note").textContent = "";
    if (atEnd) toEnd();
  }

  /** An earlier page comes oldest first, and belongs before what is there. */
  #place(message, line) {
    const anchor = this.#anchor?.isConnected ? this.#anchor : null;
    const isEarlier = anchor !== null && Number(message.Timestamp) <= Number(anchor.dataset.at);
    $("messages").insertBefore(line, isEarlier ? anchor : null);
  }

  #line(message) {
    const own = message.Author === this.#user;
    const at = new Date(Number(message.Timestamp) * 1000);
    const head = element("p", { className: "head" },
      element("b", {}, message.Author),
      element("time", { dateTime: at.toISOString() }, clock.format(at)));
    if (own) {
      head.append(
        element("button", { className: "small", type: "button", onclick: () => this.#edit(message.Uuid) }, "Edit"),
        element("button", { className: "small", type: "button", onclick: () => this.#remove(message) }, "Delete"),
      );
    }
    return element("li", { className: own ? "message own" : "message", "data-uuid": message.Uuid, "data-at": message.Timestamp },
      avatar(message.Author), head, element("p", { className: "text" }, plain(message.Message ?? "")));
  }

  #gone(uuid) {
    this.#messages.get(uuid)?.line.remove();
    this.#messages.delete(uuid);
    if (this.#editing === uuid) this.stopEditing();
    $("empty").hidden = this.#messages.size > 0;
  }

  #edit(uuid) {
    const known = this.#messages.get(uuid);
    if (!known) return;
    this.#editing = uuid;
    $("text").value = plain(known.message.Message ?? "");
    $("editing").textContent = "You change what you said. Escape ends it.";
    $("send").textContent = "Save";
    $("text").focus();
  }

  stopEditing() {
    if (this.#editing === null) return;
    this.#editing = null;
    $("text").value = "";
    $("editing").textContent = "";
    $("send").textContent = "Send";
  }

  #remove({ Uuid, RoomUuid, Author }) {
    this.chat.send({ "@type": "DELETE_MSG", Message: { Uuid, RoomUuid, Author } });
  }

  say(text) {
    // A name of its own, so that saying it again says it once.
    const Uuid = this.#editing ?? crypto.randomUUID();
    const Message = text.replace(/&/gu, "&amp;").replace(/</gu, "&lt;");
    const sent = this.chat.send({ "@type": "POST", Message: { RoomUuid: this.#room, Uuid, Message } });
    if (!sent) {
      $("note").textContent = "There is no connection now: your text stays here.";
      return;
    }
    this.stopEditing();
    $("text").value = "";
  }

  #happened(event) {
    const node = event.Target ?? event.Source;
    if (event["@type"] !== undefined || !node) return;
    const verbs = {
      CREATE: "appeared", UPDATE_PATH: "moved", UPDATE_CONTENT: "changed", UPDATE_META: "was described",
      UPDATE_USER_META: "was described", DELETE: "was deleted",
    };
    const type = event.Type ?? "CREATE";
    const path = element("code", {}, node.Path ?? "");
    const line = element("li", { "data-type": type }, path, ` ${verbs[type] ?? type.toLowerCase()}`);
    if (type === "UPDATE_PATH" && event.Source?.Path) {
      line.append(" from ", element("code", {}, event.Source.Path));
    }
    line.append(element("time", {}, clock.format(new Date())));
    $("events").prepend(line);
    while ($("events").children.length > MOST_EVENTS) $("events").lastElementChild.remove();
    $("quiet").hidden = true;
  }
}

let stay = null;

/** A reader who is at the end stays there, whatever is said and however the page is turned. */
let atEnd = true;

function toEnd() {
  $("scroller").scrollTop = $("scroller").scrollHeight;
}

$("scroller").addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = $("scroller");
  atEnd = scrollHeight - scrollTop - clientHeight < 48;
});
new ResizeObserver(() => { if (atEnd) toEnd(); }).observe($("scroller"));

function enter(who) {
  $("gate").hidden = true;
  $("frame").hidden = false;
  $("leave").hidden = false;
  $("who").hidden = false;
  $("who").textContent = who.user;
  stay = new Stay(who);
  $("text").focus();
}

function leave() {
  stay?.end();
  stay = null;
  for (const id of ["messages", "people", "events"]) $(id).replaceChildren();
  for (const id of ["frame", "leave", "who", "state", "earlier"]) $(id).hidden = true;
  for (const id of ["empty", "quiet", "gate"]) $(id).hidden = false;
}

$("leave").addEventListener("click", leave);
$("earlier").addEventListener("click", () => stay?.earlier());
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text !== "") stay?.say(text);
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Escape") stay?.stopEditing();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

async function offer() {
  const answer = await fetch("../session.json", { credentials: "omit" }).catch(() => null);
  const { users = [] } = answer?.ok ? await answer.json() : {};
  $("choices").replaceChildren(...users.map((who) => element(
    "button", { type: "button", onclick: () => enter(who) }, avatar(who.user), element("span", {}, who.user),
  )));
  $("nobody").textContent = users.length > 0 ? "" : "This server hands out no tokens: it is not a development node.";
}

await offer();
