// The mattermost dialect as one user of a browser speaks it: authentication,
// requests with their replies, the ping that notices a dead way.
//
// Invariants: the cookie with the token exists only while a handshake is under
// way, and for no other address; tabs shake hands one after the other, so each
// with its own cookie; where that fails, the challenge decides who one is.

import { ResumingSocket, socketUrl } from "./socket.js";

const PING_EVERY_MS = 30_000;
const COOKIE = "MMAUTHTOKEN";
const TURN_WITHIN_MS = 5_000;
const ROOT = new URL("../", document.baseURI);
const SOCKET_PATH = new URL("api/v4/websocket", ROOT).pathname;

// A browser can set no header on a WebSocket, and a connection that
// authenticates by its first message is too late to resume: hence the cookie.
function setCookie(token) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${COOKIE}=${token}; path=${SOCKET_PATH}; samesite=strict${secure}`;
}

function clearCookie() {
  document.cookie = `${COOKIE}=; path=${SOCKET_PATH}; samesite=strict; max-age=0`;
}

/** One tab at a time; without locks (plain http from afar) or in a long queue just so. */
async function takeTurn(dial) {
  if (navigator.locks === undefined) return dial();
  const signal = AbortSignal.timeout(TURN_WITHIN_MS);
  try {
    return await navigator.locks.request("hubbub.handshake", { signal }, dial);
  } catch (error) {
    if (!signal.aborted) throw error;
    return dial();
  }
}

/**
 * What the page hands in: `token()`, `onState`, `onReady(resumed)` (authenticated, requests
 * may be sent), `onHello(first)`, `onEvent(event)`, `isFinal(code)`.
 */
export class Client {
  #page;
  #replies = new Map();
  #request = 0;
  #ping = 0;
  #answered = true;

  constructor(page) {
    this.#page = page;
    this.socket = new ResumingSocket({
      protocols: [],
      address: (resume) => {
        setCookie(page.token());
        return socketUrl("../api/v4/websocket", resume ?? { connection_id: "", sequence_number: "0" });
      },
      helloId: (message) => (message.event === "hello" ? message.data.connection_id : null),
      onState: (state) => {
        if (state.name !== "connecting") clearCookie();
        if (state.name !== "open") this.#lost();
        page.onState(state);
      },
      onOpen: () => this.#opened(),
      onHello: (_, first) => page.onHello(first),
      onEvent: (event) => page.onEvent(event),
      onReply: (reply) => {
        const answer = this.#replies.get(reply.seq_reply);
        this.#replies.delete(reply.seq_reply);
        answer?.(reply);
      },
      isFinal: page.isFinal,
      gate: takeTurn,
    });
  }

  start() {
    this.socket.start();
  }

  stop() {
    this.#lost();
    this.socket.stop();
    clearCookie();
  }

  /** Sends a request; `onReply` gets the reply, or is forgotten with the socket. */
  request(action, data, onReply = () => {}) {
    const seq = this.#request + 1;
    if (!this.socket.send({ seq, action, data })) return false;
    this.#request = seq;
    this.#replies.set(seq, onReply);
    return true;
  }

  /** A call of the REST twins, as this user. */
  call(method, path, body) {
    return fetch(new URL(path, ROOT), {
      method,
      // Another tab's cookie would be stronger than the token.
      credentials: "omit",
      headers: { authorization: `Bearer ${this.#page.token()}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  #opened() {
    this.request("authentication_challenge", { token: this.#page.token() });
    // The reply to the first ping says that requests are taken; whether a hello
    // came before it says whether the resume was refused.
    this.#sendPing((reply) => {
      if (reply.status === "OK") this.#page.onReady(this.socket.resumed === true);
      else this.socket.reconnect("not authenticated");
    });
    this.#ping = setInterval(() => {
      if (this.#answered) this.#sendPing();
      else this.socket.reconnect("no answer to a ping");
    }, PING_EVERY_MS);
  }

  #sendPing(then = () => {}) {
    this.#answered = false;
    this.request("ping", {}, (reply) => {
      this.#answered = true;
      then(reply);
    });
  }

  #lost() {
    clearInterval(this.#ping);
    this.#replies.clear();
    this.#request = 0;
  }
}

/** Who a token names, unverified: the server decides; null when it is no JWT. */
export function claimsOf(token) {
  try {
    const part = token.split(".")[1].replace(/-/gu, "+").replace(/_/gu, "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.codePointAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims.sub === "string" ? claims : null;
  } catch {
    return null;
  }
}
