// A connection that survives its sockets, whatever it speaks: it connects, notices a
// socket that ends unasked, goes on with the next node, and counts numbers.
//
// A dialect says where to connect (`address`), what to say first (`opened`), and what
// messages mean (`receive`).
import { WebSocket } from "k6/websockets";
import { clearTimeout, setTimeout } from "k6/timers";

import { connectMs, connects, lostSockets, resumes, seqErrors } from "./metrics.js";

const HELLO_MS = 5000;
const RETRY_MS = 1000;
const OPEN = 1;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Connection {
  /**
   * `who` is the user's id, with the claims of its token and the time when to give up;
   * `at` chooses the first node; `onEvent(event, connection)` gets what is not about
   * the connection itself.
   */
  constructor(config, who, at, onEvent) {
    this.config = config;
    this.user = who.id;
    this.claims = who.claims;
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
    this.resume = null;
    this.resting = undefined;
    this.wake = () => {};
  }

  /** Connects and stays connected until `stop`; true when the first hello is there. */
  async start() {
    await this.keepTrying(false);
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

  /** Ends everything; the connection does not come back. */
  stop() {
    this.stopping = true;
    this.settle();
    this.leave();
    clearTimeout(this.resting);
    this.wake();
  }

  /** A pause that ends with the connection: a timer that is left would keep k6 waiting. */
  rest(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      this.resting = setTimeout(resolve, ms);
    });
  }

  isOpen() {
    return this.socket !== null && this.socket.readyState === OPEN;
  }

  leave() {
    const socket = this.socket;
    this.socket = null;
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

  /** One attempt; true when the dialect has decided that the connection stands. */
  connect(resume) {
    const base = this.config.urls[this.at % this.config.urls.length];
    const query = resume ? `?connection_id=${this.connectionId}&sequence_number=${this.next}` : "";
    const began = Date.now();
    return new Promise((resolve) => {
      const { path, headers } = this.address();
      const socket = new WebSocket(`${base}${path}${query}`, null, { headers, tags: { name: "websocket" } });
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
      const timer = setTimeout(() => decide(false), HELLO_MS);
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
        }
        this.opened(resume, decide);
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

  /** A numbering begins: the first one, or another because the last can't be resumed. */
  greeted(connectionId, seq) {
    if (seq !== 0) {
      seqErrors.add(1);
    }
    if (this.resume !== null) {
      this.resume.result = "reset";
    }
    this.connectionId = connectionId;
    this.next = 1;
    this.hellos += 1;
    this.helloAt = Date.now();
  }

  /** A numbered message came; `publishedAt` is undefined when nobody knows. */
  counted(seq, publishedAt) {
    if (seq !== this.next) {
      seqErrors.add(1);
    }
    this.next = seq + 1;
    if (this.resume !== null && publishedAt < this.resume.openedAt) {
      this.resume.result = "replayed";
    }
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
}
