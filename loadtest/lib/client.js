// One user of the mattermost dialect: connects, counts, resumes after a cut, and
// notices whatever the server should not do.
import { WebSocket } from "k6/websockets";
import { clearTimeout, setTimeout } from "k6/timers";

import { token } from "./jwt.js";
import { connectMs, connects, lostSockets, replies, resumes, seqErrors } from "./metrics.js";

const ANSWER_MS = 5000;
const PING_MS = 5000;
const RETRY_MS = 1000;
const OPEN = 1;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Client {
  /**
   * `who` is the user's id, with the channels of the token and the time when to give
   * up; `at` chooses the first node; `onEvent(event, client)` gets all but hello and
   * no-ops.
   */
  constructor(config, who, at, onEvent) {
    this.config = config;
    this.user = who.id;
    this.claims = { channels: who.channels };
    this.deadline = who.deadline;
    this.at = at;
    this.onEvent = onEvent;
    this.socket = null;
    this.stopping = false;
    this.away = false;
    this.helloAt = 0;
    this.hellos = 0;
    this.connectionId = "";
    this.next = 0;
    this.waiting = new Map();
    this.requestSeq = 0;
    this.resume = null;
  }

  /** Connects and stays connected until `stop`; true when the first hello is there. */
  async start() {
    await this.keepTrying(false);
    if (this.hellos > 0) {
      this.ping();
    }
    return this.hellos > 0;
  }

  /** Ends the socket on purpose, stays away for `awayMs`, and resumes on the next node. */
  async cut(awayMs) {
    if (this.stopping || this.away || this.socket === null) {
      return;
    }
    this.away = true;
    this.leave();
    await sleep(awayMs);
    this.at += 1;
    await this.keepTrying(true);
    this.away = false;
  }

  /** Ends everything; the client does not come back. */
  stop() {
    this.stopping = true;
    this.settle();
    this.leave();
  }

  /**
   * Sends a request. Resolves with its reply, with null when none came in time, and with
   * undefined when the socket ended on purpose before it could.
   */
  request(action, data) {
    return new Promise((resolve) => {
      if (this.socket === null || this.socket.readyState !== OPEN) {
        resolve(undefined);
        return;
      }
      this.requestSeq += 1;
      const seq = this.requestSeq;
      const timer = setTimeout(() => this.answer(seq, null), ANSWER_MS);
      this.waiting.set(seq, { resolve, timer });
      this.socket.send(JSON.stringify({ seq, action, data }));
    });
  }

  /** A request whose reply counts: it must come, and say OK. */
  async ask(action, data) {
    const reply = await this.request(action, data);
    if (reply !== undefined) {
      replies.add(reply !== null && reply.status === "OK");
    }
    return reply;
  }

  answer(seq, reply) {
    const entry = this.waiting.get(seq);
    if (entry !== undefined) {
      this.waiting.delete(seq);
      clearTimeout(entry.timer);
      entry.resolve(reply);
    }
  }

  leave() {
    const socket = this.socket;
    this.socket = null;
    // Whoever still waits for a reply does not get it, and that is nobody's fault.
    for (const seq of [...this.waiting.keys()]) {
      this.answer(seq, undefined);
    }
    if (socket !== null && socket.readyState === OPEN) {
      socket.close();
    }
  }

  async keepTrying(resuming) {
    while (!this.stopping && Date.now() < this.deadline) {
      const resume = resuming && this.connectionId !== "";
      const ok = await this.connect(resume);
      if (this.stopping) {
        return;
      }
      connects.add(ok);
      if (ok) {
        return;
      }
      this.at += 1;
      await sleep(RETRY_MS);
    }
  }

  /** One attempt; true when the server has said hello, or has answered after a resume. */
  connect(resume) {
    const url = this.config.urls[this.at % this.config.urls.length];
    const query = resume ? `?connection_id=${this.connectionId}&sequence_number=${this.next}` : "";
    const began = Date.now();
    return new Promise((resolve) => {
      const headers = { Authorization: `Bearer ${token(this.config, this.user, this.claims)}` };
      const socket = new WebSocket(`${url}/api/v4/websocket${query}`, null, { headers, tags: { name: "websocket" } });
      let decided = false;
      const decide = (ok) => {
        if (!decided) {
          decided = true;
          clearTimeout(timer);
          if (ok) {
            connectMs.add(Date.now() - began);
          } else {
            this.socket = this.socket === socket ? null : this.socket;
            if (socket.readyState === OPEN) {
              socket.close();
            }
          }
          resolve(ok);
        }
      };
      const timer = setTimeout(() => decide(false), ANSWER_MS);
      socket.addEventListener("open", () => {
        if (decided) {
          // Too late: the attempt was given up while the handshake went on.
          socket.close();
          return;
        }
        this.socket = socket;
        if (resume) {
          this.settle();
          this.resume = { openedAt: Date.now(), result: "lossless" };
          this.request("ping", {}).then((reply) => decide(Boolean(reply)));
        }
      });
      socket.addEventListener("message", (message) => {
        if (this.socket === socket) {
          this.receive(JSON.parse(message.data), decide);
        }
      });
      socket.addEventListener("error", () => decide(false));
      socket.addEventListener("close", () => {
        decide(false);
        if (this.socket === socket) {
          this.lost();
        }
      });
    });
  }

  /** A socket ended that nobody had asked to end. */
  lost() {
    if (!this.stopping) {
      lostSockets.add(1);
      this.leave();
      this.at += 1;
      this.away = true;
      this.keepTrying(true).then(() => {
        this.away = false;
      });
    }
  }

  receive(message, decide) {
    if (message.seq_reply !== undefined) {
      this.answer(message.seq_reply, message);
      return;
    }
    if (message.event === "hello") {
      this.hello(message);
      decide(true);
      return;
    }
    if (message.seq !== this.next) {
      seqErrors.add(1);
    }
    this.next = message.seq + 1;
    if (message.event !== "hb_noop") {
      if (this.resume !== null && message.data.at < this.resume.openedAt) {
        this.resume.result = "replayed";
      }
      this.onEvent(message, this);
    }
  }

  hello(message) {
    if (message.seq !== 0) {
      seqErrors.add(1);
    }
    if (this.resume !== null) {
      this.resume.result = "reset";
    }
    this.connectionId = message.data.connection_id;
    this.next = 1;
    this.hellos += 1;
    this.helloAt = Date.now();
  }

  /**
   * Counts what the last resume was. It is known only later: an event that was
   * published before the socket was open may come at any time after.
   */
  settle() {
    if (this.resume !== null) {
      resumes.add(1, { result: this.resume.result });
      this.resume = null;
    }
  }

  /** A node that is paused or cut off ends no socket: it just does not answer. */
  async ping() {
    while (!this.stopping) {
      const socket = this.socket;
      if (socket !== null && !this.away) {
        const reply = await this.ask("ping", {});
        if (reply === null && this.socket === socket) {
          this.lost();
        }
      }
      await sleep(PING_MS);
    }
  }
}
