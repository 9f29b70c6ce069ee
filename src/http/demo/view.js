// What both pages show: the log of messages, the outbox below it, the state of
// the connection, the field to write in.
//
// Invariants: text from the network only ever becomes a text node; the log moves
// by itself only for a reader who is at its end; it holds a bounded number of lines.

const MOST_LINES = 500;
const GROUP_WITHIN_MS = 5 * 60_000;
const AT_THE_END_PX = 48;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** An element with properties, attributes (`aria-…`, `data-…`) and children. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** One of eight hues for a name, the same on every page. */
function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return String(sum % 8);
}

/** The letter that stands for a person. */
export function avatar(name) {
  const letters = name.replace(/^[~@]/u, "");
  const first = [...letters][0] ?? "?";
  return element("span", { className: "avatar", "aria-hidden": "true", "data-hue": hueOf(name) }, first.toUpperCase());
}

/** The log of messages, with what still waits to be sent at its end. */
export class MessageLog {
  #list;
  #pendingList;
  #scroller;
  #more;
  #last = null;
  #ids = new Set();
  #unseen = 0;
  #shown = 0;

  constructor({ scroller, list, pendingList, more }) {
    this.#scroller = scroller;
    this.#list = list;
    this.#pendingList = pendingList;
    this.#more = more;
    more.addEventListener("click", () => {
      this.toEnd();
      scroller.focus({ preventScroll: true });
    });
    scroller.addEventListener("scroll", () => {
      if (this.#atEnd()) this.#seen();
    }, { passive: true });
    // The keyboard of a phone makes the window smaller: stay at the end.
    this.#shown = scroller.clientHeight;
    new ResizeObserver(() => {
      const lost = this.#shown - scroller.clientHeight;
      this.#shown = scroller.clientHeight;
      if (this.#atEnd(Math.max(lost, 0))) this.toEnd();
    }).observe(scroller);
  }

  get isEmpty() {
    return this.#ids.size === 0;
  }

  has(id) {
    return this.#ids.has(id);
  }

  /** Shows `{id, user, at, text, own}` once. */
  add(message) {
    if (this.#ids.has(message.id)) return;
    this.#ids.add(message.id);
    const follows = this.#last !== null
      && this.#last.user === message.user
      && message.at - this.#last.at < GROUP_WITHIN_MS;
    const at = new Date(message.at);
    const time = element("time", { dateTime: at.toISOString(), title: fullTime.format(at) }, clock.format(at));
    const line = element(
      "li",
      { className: follows ? "message follows" : "message", "data-id": message.id },
      avatar(message.user),
      element("div", { className: "head" }, element("b", {}, message.user), time),
      element("div", { className: "text" }, message.text),
    );
    if (message.own) line.classList.add("own");
    this.#last = message;
    this.#append(line);
  }

  /** A line about the connection or the log itself. */
  note(text) {
    this.#last = null;
    this.#append(element("li", { className: "note" }, text));
  }

  clear() {
    this.#list.replaceChildren();
    this.#pendingList.replaceChildren();
    this.#ids.clear();
    this.#last = null;
    this.#seen();
  }

  /** Shows the outbox below the log. */
  pending(items, { retry, discard }) {
    const follow = this.#atEnd();
    this.#pendingList.replaceChildren(...items.map((item) => pendingLine(item, retry, discard)));
    this.#pendingList.hidden = items.length === 0;
    if (follow) this.toEnd();
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#seen();
  }

  #append(line) {
    const follow = this.#atEnd();
    this.#list.append(line);
    while (this.#list.childElementCount > MOST_LINES) {
      const oldest = this.#list.firstElementChild;
      this.#ids.delete(oldest.dataset.id);
      oldest.remove();
    }
    if (follow) {
      this.toEnd();
      return;
    }
    this.#unseen += 1;
    this.#more.hidden = false;
    this.#more.textContent = this.#unseen === 1 ? "1 new message" : `${this.#unseen} new messages`;
  }

  #atEnd(slack = 0) {
    const box = this.#scroller;
    return box.scrollHeight - box.scrollTop - box.clientHeight <= AT_THE_END_PX + slack;
  }

  #seen() {
    this.#unseen = 0;
    this.#more.hidden = true;
  }
}

function pendingLine(item, retry, discard) {
  const line = element("li", { className: `message pending ${item.state}` }, element("div", { className: "text" }, item.text));
  if (item.state === "failed") {
    line.append(
      element("div", { className: "why" }, item.note),
      element("button", { type: "button", className: "quiet", onclick: () => retry(item.id) }, "Try again"),
      element("button", { type: "button", className: "quiet", onclick: () => discard(item.id) }, "Discard"),
    );
  } else {
    line.append(element("div", { className: "why" }, item.state === "sending" ? "Sending…" : "Waiting for the connection…"));
  }
  return line;
}

/** Shows the state of the connection, in words, and counts down to the next attempt. */
export class ConnectionState {
  #box;
  #ticker = 0;

  constructor(box) {
    this.#box = box;
  }

  show(state, words = "") {
    clearInterval(this.#ticker);
    this.#box.dataset.state = state.name;
    if (state.name === "waiting") {
      // A screen reader hears this once; the seconds are only for the eye.
      const until = Date.now() + state.delay;
      const left = element("span", { "aria-hidden": "true" });
      const tick = () => {
        const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
        left.textContent = seconds > 1 ? ` in ${seconds} s` : "";
      };
      tick();
      this.#ticker = setInterval(tick, 1000);
      this.#box.replaceChildren("Reconnecting", left);
    } else {
      this.#box.replaceChildren(words || wordsOf(state));
    }
  }
}

function wordsOf(state) {
  switch (state.name) {
    case "connecting": return state.attempt > 0 ? "Reconnecting" : "Connecting";
    case "open": return "Connected";
    case "stopped": return state.reason;
    default: return "Not connected";
  }
}

/** A field that grows with its text; Enter sends, Shift+Enter starts a line. */
export function composer({ form, field, onSend, onInput = () => {} }) {
  const grow = () => {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight + 2, 160)}px`;
  };
  const submit = () => {
    if (field.value.trim() === "" || !onSend(field.value)) return;
    field.value = "";
    grow();
    onInput(field.value);
  };
  field.addEventListener("input", () => {
    grow();
    onInput(field.value);
  });
  field.addEventListener("keydown", (event) => {
    // An input method uses Enter to choose a candidate: that is not "send".
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
    field.focus();
  });
  return grow;
}
