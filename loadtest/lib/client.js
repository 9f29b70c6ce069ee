// One user of the mattermost dialect.
import { clearTimeout, setTimeout } from "k6/timers";

import { Connection } from "./connection.js";
import { token } from "./jwt.js";
import { replies } from "./metrics.js";

const ANSWER_MS = 5000;
const PING_MS = 5000;

export class Client extends Connection {
  constructor(config, who, at, onEvent) {
    super(config, who, at, onEvent);
    this.waiting = new Map();
    this.requestSeq = 0;
  }

  async start() {
    const greeted = await super.start();
    if (greeted) {
      this.ping();
    }
    return greeted;
  }

  address() {
    const headers = { Authorization: `Bearer ${token(this.config, this.user, this.claims)}` };
    return { path: "/api/v4/websocket", headers };
  }

  /** A resume that succeeds says nothing by itself, so the server is asked something. */
  opened(resume, decide) {
    if (resume) {
      this.request("ping", {}).then((reply) => decide(Boolean(reply)));
    }
  }

  receive(message, decide) {
    if (message.seq_reply !== undefined) {
      this.answer(message.seq_reply, message);
    } else if (message.event === "hello") {
      this.greeted(message.data.connection_id, message.seq);
      decide(true);
    } else {
      const isNoop = message.event === "hb_noop";
      this.counted(message.seq, isNoop ? undefined : message.data.at);
      if (!isNoop) {
        this.onEvent(message, this);
      }
    }
  }

  /**
   * Sends a request. Resolves with its reply, with null when none came in time, and with
   * undefined when the socket ended before it could.
   */
  request(action, data) {
    return new Promise((resolve) => {
      if (!this.isOpen()) {
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
    // Whoever still waits for a reply does not get it; that the socket ended counts by itself.
    for (const seq of [...this.waiting.keys()]) {
      this.answer(seq, undefined);
    }
    super.leave();
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
      await this.rest(PING_MS);
    }
  }
}
