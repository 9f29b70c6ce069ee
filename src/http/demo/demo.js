// The page of users, on the mattermost dialect: messages, typing, statuses.
//
// Invariants: one page is one user; a message leaves the outbox when the server
// took it or shows it; what a status dot shows was said by the server.

import { Client, claimsOf } from "./mattermost.js";
import { Outbox } from "./outbox.js";
import { ConnectionState, MessageLog, avatar, composer, element } from "./view.js";

const TYPING_EVERY_MS = 5_000;
const ACTIVE_EVERY_MS = 60_000;
const RETRY_POST_MS = 1_500;
const KEPT_PER_CHANNEL = 200;
const WORDS = { online: "online", away: "away", dnd: "do not disturb", ooo: "out of office", offline: "offline" };

const $ = (id) => document.getElementById(id);

const log = new MessageLog({
  scroller: $("scroller"), list: $("messages"), pendingList: $("outbox"), more: $("more"),
});
const state = new ConnectionState($("state"));
let visit = null;

/** What the server hands to a development page, or null. */
async function fetchSession() {
  try {
    const answer = await fetch("session.json", { credentials: "omit" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** The post of an event, or null: the server API lets anybody with a key publish anything. */
function postOf(data) {
  try {
    const post = JSON.parse(data.post);
    return typeof post.message === "string" && Number.isFinite(post.create_at) ? post : null;
  } catch {
    return null;
  }
}

/** One user on this page. */
class Visit {
  constructor({ user, token, channels, users, fromServer }) {
    Object.assign(this, { user, token, channels, fromServer });
    this.channel = channels[0];
    this.statuses = new Map(users.map((one) => [one, "offline"]));
    this.kept = new Map(channels.map((channel) => [channel, []]));
    this.unread = new Map();
    this.typists = new Map();
    this.lastTyping = 0;
    this.typingTimer = 0;
    this.lastActive = 0;
    this.outbox = new Outbox({
      key: `hubbub.outbox.user.${user}`,
      transmit: (item) => this.post(item),
      onChange: (items) => this.showOutbox(items),
      onSilence: () => this.client.socket.reconnect("no confirmation"),
    });
    this.client = new Client({
      token: () => this.token,
      onState: (change) => this.changed(change),
      onReady: (resumed) => this.ready(resumed),
      onHello: (first) => this.hello(first),
      onEvent: (event) => this.event(event),
      // After a restart the development server signs anew: a fresh token may do.
      isFinal: (code) => [1003, 4403, 4409].includes(code) || (!fromServer && [4401, 4419].includes(code)),
    });
    this.showPeople();
    this.showChannels();
    this.client.start();
  }

  // The connection

  changed(change) {
    state.show(change, change.name === "open" ? "Signing in" : "");
    if (change.name === "waiting" || change.name === "stopped") {
      this.outbox.interrupted();
      this.typists.forEach((timer) => clearTimeout(timer));
      this.typists.clear();
      this.showTyping();
    }
    if (change.name === "waiting" && this.fromServer) this.renew();
    this.showFacts();
  }

  async renew() {
    const session = await fetchSession();
    const mine = session?.users.find((one) => one.user === this.user);
    if (mine === undefined) return;
    this.token = mine.token;
    remember(this);
  }

  ready() {
    state.show({ name: "open" });
    this.watch([...this.statuses.keys()]);
    this.client.request("presence", { channel_id: this.channel });
    this.showFacts();
    this.outbox.flush();
  }

  hello(first) {
    if (!first) log.note("This is a new connection: messages may be missing before this line.");
    this.showFacts();
  }

  event(event) {
    this.showFacts();
    switch (event.event) {
      case "posted": return this.posted(postOf(event.data));
      case "typing": return this.typing(event.data.user_id, event.broadcast.channel_id);
      case "status_change": return this.status(event.data.user_id, event.data.status);
      default: return undefined;
    }
  }

  // Messages

  post({ id, text, channel }) {
    if (!this.client.socket.isOpen) return false;
    const again = () => {
      this.outbox.interrupted(id);
      setTimeout(() => this.outbox.flush(), RETRY_POST_MS);
    };
    this.client.call("POST", "demo/posts", { channel_id: channel, message: text, id })
      .then((answer) => {
        if (answer.ok) this.outbox.confirm(id);
        else if (answer.status === 401 || answer.status === 429 || answer.status >= 500) again();
        else this.outbox.refuse(`The server refused this message (${answer.status}).`, id);
      })
      .catch(again);
    return true;
  }

  posted(post) {
    if (post === null) return;
    const message = {
      id: post.id, user: post.user_id, at: post.create_at, text: post.message, own: post.user_id === this.user,
    };
    const kept = this.kept.get(post.channel_id) ?? [];
    if (kept.length >= KEPT_PER_CHANNEL) kept.shift();
    kept.push(message);
    this.kept.set(post.channel_id, kept);
    this.outbox.confirm(post.id);
    this.stoppedTyping(post.user_id, post.channel_id);
    if (!this.statuses.has(post.user_id)) {
      this.statuses.set(post.user_id, "offline");
      this.watch([post.user_id]);
      this.showPeople();
    }
    if (post.channel_id === this.channel) {
      log.add(message);
      $("empty").hidden = true;
      return;
    }
    this.unread.set(post.channel_id, (this.unread.get(post.channel_id) ?? 0) + 1);
    this.showChannels();
  }

  showOutbox(items) {
    const here = items.filter((item) => item.channel === this.channel);
    log.pending(here, {
      retry: (id) => this.outbox.retry(id),
      discard: (id) => this.outbox.discard(id),
    });
    $("empty").hidden = !log.isEmpty || here.length > 0;
  }

  // Channels

  open(channel) {
    clearTimeout(this.typingTimer);
    this.channel = channel;
    this.unread.delete(channel);
    this.client.request("presence", { channel_id: channel });
    log.clear();
    for (const message of this.kept.get(channel) ?? []) log.add(message);
    log.toEnd();
    this.showOutbox(this.outbox.items);
    this.showChannels();
    this.showTyping();
    $("text").focus();
  }

  showChannels() {
    $("title").textContent = `#${this.channel}`;
    document.title = `#${this.channel} · ${this.user} · hubbub demo`;
    const focused = document.activeElement?.dataset?.channel;
    $("channels").replaceChildren(...[...this.kept.keys()].map((channel) => {
      const unread = this.unread.get(channel) ?? 0;
      const button = element("button", {
        type: "button",
        "data-channel": channel,
        "aria-current": String(channel === this.channel),
        onclick: () => this.open(channel),
      }, `# ${channel}`);
      if (unread > 0) {
        button.append(element("span", { className: "badge" }, String(unread), element("span", { className: "hidden" }, " new")));
      }
      return element("li", {}, button);
    }));
    if (focused !== undefined) $("channels").querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
  }

  // Typing

  wrote(text) {
    clearTimeout(this.typingTimer);
    if (text === "") return;
    const wait = this.lastTyping + TYPING_EVERY_MS - Date.now();
    if (wait > 0) {
      // Who goes on after a message is typing as well, as soon as it may be said again.
      this.typingTimer = setTimeout(() => this.wrote(text), wait);
      return;
    }
    const sent = this.client.request("user_typing", { channel_id: this.channel, parent_id: "" });
    if (sent) this.lastTyping = Date.now();
  }

  typing(user, channel) {
    if (user === this.user) return;
    const key = `${channel} ${user}`;
    clearTimeout(this.typists.get(key));
    this.typists.set(key, setTimeout(() => this.stoppedTyping(user, channel), TYPING_EVERY_MS + 500));
    this.showTyping();
  }

  stoppedTyping(user, channel) {
    const key = `${channel} ${user}`;
    clearTimeout(this.typists.get(key));
    this.typists.delete(key);
    this.showTyping();
  }

  showTyping() {
    const names = [...this.typists.keys()]
      .map((key) => key.split(" "))
      .filter(([channel]) => channel === this.channel)
      .map(([, user]) => user);
    const words = names.length === 0 ? "" : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing…`;
    if ($("typing").textContent !== words) $("typing").textContent = words;
  }

  // Statuses

  watch(users) {
    this.client.request("subscribe_statuses", { user_ids: users });
    this.client.request("get_statuses_by_ids", { user_ids: users }, (reply) => {
      for (const [user, status] of Object.entries(reply.data ?? {})) this.status(user, status);
    });
  }

  status(user, status) {
    if (!this.statuses.has(user) || this.statuses.get(user) === status) return;
    this.statuses.set(user, status);
    this.showPeople();
  }

  async choose(status) {
    try {
      const answer = await this.client.call("PUT", "api/v4/users/me/status", { user_id: this.user, status });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.status(this.user, (await answer.json()).status ?? status);
    } catch {
      $("count").textContent = "The status could not be changed.";
    }
  }

  /** Somebody is at the device: without that, a status becomes away. */
  active() {
    const now = Date.now();
    if (now - this.lastActive < ACTIVE_EVERY_MS) return;
    if (this.client.request("user_update_active_status", { user_is_active: true, manual: false })) this.lastActive = now;
  }

  showPeople() {
    $("people").replaceChildren(...[...this.statuses].map(([user, status]) => {
      const words = WORDS[status] ?? status;
      return element("li", { "data-user": user, "data-status": status, title: `${user}: ${words}` },
        element("span", { className: "face" }, avatar(user), element("span", { className: "dot", "data-status": status })),
        element("span", { className: "name" },
          user === this.user ? `${user} (you)` : user,
          element("span", { className: "status" }, words)));
    }));
    for (const button of $("statuses").children) {
      button.setAttribute("aria-pressed", String(button.dataset.status === this.statuses.get(this.user)));
    }
  }

  showFacts() {
    const socket = this.client?.socket;
    if (socket === undefined || socket.connectionId === "") return;
    $("fact-id").textContent = socket.connectionId;
    $("fact-id").title = socket.connectionId;
    $("fact-seq").textContent = String(socket.nextSeq);
    $("fact-socket").textContent = socket.resumed ? "resumed" : "fresh";
  }

  end() {
    this.client.stop();
    this.outbox.stop();
    clearTimeout(this.typingTimer);
    this.typists.forEach((timer) => clearTimeout(timer));
  }
}

function remember(who) {
  try {
    const { user, token, channels, fromServer } = who;
    const users = who.users ?? [...who.statuses.keys()];
    sessionStorage.setItem("hubbub.user", JSON.stringify({ user, token, channels, users, fromServer }));
  } catch { /* A reload then asks again. */ }
}

function remembered() {
  try { return JSON.parse(sessionStorage.getItem("hubbub.user") ?? "null"); } catch { return null; }
}

function enter(who) {
  remember(who);
  for (const id of ["frame", "who", "state", "leave"]) $(id).hidden = false;
  $("gate").hidden = true;
  $("who").textContent = who.user;
  log.clear();
  visit = new Visit(who);
  $("text").focus();
}

function leave() {
  visit?.end();
  visit = null;
  try { sessionStorage.removeItem("hubbub.user"); } catch { /* Nothing was remembered. */ }
  for (const id of ["frame", "who", "state", "leave"]) $(id).hidden = true;
  $("gate").hidden = false;
  $("title").textContent = "hubbub demo";
  document.title = "hubbub demo";
  showGate();
}

async function showGate() {
  const session = await fetchSession();
  const users = session?.users ?? [];
  $("choices").replaceChildren(...users.map(({ user, token }) => element("button", {
    type: "button",
    onclick: () => enter({
      user, token, channels: session.channels, users: users.map((one) => one.user), fromServer: true,
    }),
  }, avatar(user), user)));
  $("paste").open = users.length === 0;
  ($("choices").firstElementChild ?? $("token")).focus();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  const claims = claimsOf(token);
  $("token-error").textContent = claims === null ? "This is not a token." : "";
  if (claims === null) return;
  const channels = Array.isArray(claims.channels) && claims.channels.length > 0 ? claims.channels : ["town-square"];
  enter({ user: claims.sub, token, channels, users: [claims.sub], fromServer: false });
});
$("leave").addEventListener("click", leave);
$("statuses").addEventListener("click", (event) => {
  const status = event.target.dataset.status;
  if (status !== undefined) visit.choose(status);
});
for (const kind of ["keydown", "pointerdown"]) {
  addEventListener(kind, () => visit?.active(), { passive: true });
}
composer({
  form: $("composer"),
  field: $("text"),
  onSend: (text) => {
    const taken = visit.outbox.add(text, { channel: visit.channel });
    $("count").textContent = taken ? "" : "Too many messages wait already.";
    if (taken) log.toEnd();
    return taken;
  },
  onInput: (text) => visit.wrote(text),
});

const before = remembered();
if (before === null) showGate();
else enter(before);
