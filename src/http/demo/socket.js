// A WebSocket that comes back: backoff with jitter, and resume by connection id
// and next expected sequence number. Both pages use it; it knows no dialect.
//
// Invariants: at most one socket is alive; events are handed on in the order of
// their `seq`, each once; a gap is never handed on, it closes the socket, and
// the resume that follows fetches what was missing.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const STABLE_AFTER_MS = 5_000;
const OPEN_TIMEOUT_MS = 15_000;

/** After these codes another attempt would end the same way. */
const FINAL_CODES = new Map([
  [1002, "The server did not understand this page."],
  [1003, "The server did not understand this page."],
  [1008, "The server refused this connection."],
  [4401, "The server asks for a valid token."],
  [4403, "You may not be here."],
  [4409, "This connection was taken over elsewhere."],
  [4419, "Your session has ended."],
]);

/** How long to wait before attempt number `attempt` (1 = the first retry). */
export function backoffDelay(attempt, code, random = Math.random) {
  if (code === 1012 && attempt <= 1) {
    return Math.round(random() * 1_000);
  }
  const least = code === 1013 || code === 4429 ? 4 * FIRST_DELAY_MS : FIRST_DELAY_MS;
  const ceiling = Math.min(LONGEST_DELAY_MS, least * 2 ** Math.min(attempt - 1, 16));
  return Math.round(ceiling / 2 + random() * (ceiling / 2));
}

/** The address of `path`, relative to this page, with the scheme of a WebSocket. */
export function socketUrl(path, parameters) {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  for (const [name, value] of Object.entries(parameters)) {
    url.searchParams.set(name, value);
  }
  return url;
}

/**
 * What the page hands in:
 *
 * - `address(resume)`: the URL; `resume` is `{connection_id, sequence_number}` or null.
 * - `protocols`: the subprotocols, a list that may be empty.
 * - `helloId(message)`: the connection id when the message is a hello, else null.
 * - `onState(state)`: `{name, attempt, delay, code, reason}`; `name` is one of
 *   `connecting`, `open`, `waiting`, `stopped`.
 * - `onOpen(resuming)`: the socket is open; a resume that was refused is followed by a hello.
 * - `onHello(message, first)`: a fresh connection; `first` unless one was lost before it.
 * - `onEvent(message)`: an event with its `seq`.
 * - `onReply(message)`: what has no `seq`.
 * - `isFinal(code)`: optional; whether to give up after that close code.
 * - `gate(dial)`: optional; calls `dial` when a handshake may begin; what `dial` returns
 *   resolves when the handshake is over.
 */
export class ResumingSocket {
  #page;
  #socket = null;
  #timer = 0;
  #stableTimer = 0;
  #attempt = 0;
  #wanted = false;
  #turn = 0;
  #hadHello = false;
  #wake = () => this.#retryNow();
  #visible = () => {
    if (document.visibilityState === "visible") this.#retryNow();
  };

  /** The id that a resume names, or the empty text. */
  connectionId = "";
  /** The `seq` that the next event must have. */
  nextSeq = 0;
  /** Whether the current socket continues an earlier one: true, false, or null before any. */
  resumed = null;

  constructor(page) {
    this.#page = page;
  }

  get isOpen() {
    return this.#socket !== null && this.#socket.readyState === WebSocket.OPEN;
  }

  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#attempt = 0;
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#visible);
    this.#connect();
  }

  /** Ends for good; no callback comes afterwards. */
  stop() {
    this.#wanted = false;
    this.#clearTimers();
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#visible);
    this.#drop(1000);
  }

  /** Sends one JSON value; false when there is no open socket. */
  send(value) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(value));
    return true;
  }

  /** Gives this socket up and opens another one: the way is dead or something is missing. */
  reconnect(why) {
    if (!this.#wanted) return;
    this.#drop(1000);
    this.#lost(0, why);
  }

  #connect() {
    this.#clearTimers();
    this.#turn += 1;
    const turn = this.#turn;
    this.#page.onState({ name: "connecting", attempt: this.#attempt });
    const gate = this.#page.gate ?? ((dial) => dial());
    gate(() => (this.#wanted && turn === this.#turn ? this.#dial() : undefined));
  }

  #dial() {
    const resume = this.connectionId === ""
      ? null
      : { connection_id: this.connectionId, sequence_number: String(this.nextSeq) };
    const socket = new WebSocket(this.#page.address(resume), this.#page.protocols);
    this.#socket = socket;
    const current = () => this.#socket === socket;

    // A handshake that hangs is a dead way like any other.
    this.#timer = setTimeout(() => {
      if (current()) this.reconnect("no answer");
    }, OPEN_TIMEOUT_MS);

    socket.addEventListener("open", () => {
      if (!current()) return;
      clearTimeout(this.#timer);
      this.resumed = resume !== null;
      this.#stableTimer = setTimeout(() => { this.#attempt = 0; }, STABLE_AFTER_MS);
      this.#page.onState({ name: "open" });
      this.#page.onOpen(resume !== null);
    });
    socket.addEventListener("message", (frame) => {
      if (current()) this.#receive(frame.data);
    });
    socket.addEventListener("close", (close) => {
      if (!current()) return;
      this.#socket = null;
      this.#lost(close.code, close.reason);
    });
    return new Promise((over) => {
      socket.addEventListener("open", over);
      socket.addEventListener("close", over);
    });
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      this.reconnect("a message was not JSON");
      return;
    }
    if (typeof message.seq !== "number") {
      this.#page.onReply(message);
      return;
    }
    const id = this.#page.helloId(message);
    if (id !== null && message.seq === 0) {
      const first = !this.#hadHello;
      this.#hadHello = true;
      this.connectionId = id;
      this.nextSeq = 1;
      this.resumed = false;
      this.#page.onHello(message, first);
      return;
    }
    if (message.seq !== this.nextSeq) {
      this.reconnect(`expected event ${this.nextSeq}, got ${message.seq}`);
      return;
    }
    this.nextSeq += 1;
    this.#page.onEvent(message);
  }

  #lost(code, reason) {
    this.#clearTimers();
    if (!this.#wanted) return;
    const isFinal = this.#page.isFinal ?? ((number) => FINAL_CODES.has(number));
    if (isFinal(code)) {
      this.#wanted = false;
      removeEventListener("online", this.#wake);
      document.removeEventListener("visibilitychange", this.#visible);
      const text = FINAL_CODES.get(code) ?? "The server ended this connection.";
      this.#page.onState({ name: "stopped", code, reason: text });
      return;
    }
    this.#turn += 1;
    this.#attempt += 1;
    const delay = backoffDelay(this.#attempt, code);
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#page.onState({ name: "waiting", attempt: this.#attempt, delay, code, reason });
  }

  #retryNow() {
    if (this.#wanted && this.#socket === null) this.#connect();
  }

  #drop(code) {
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) socket.close(code);
  }

  #clearTimers() {
    clearTimeout(this.#timer);
    clearTimeout(this.#stableTimer);
  }
}
