// One user of the pydio dialect on `/ws/event`, where events of the bus come.
import { Connection, sleep } from "./connection.js";
import { token } from "./jwt.js";
import { replies } from "./metrics.js";

// A resume that succeeds is silent; a hello would have come by then.
const SILENCE_MS = 1000;

/** A socket that is proved by its first message, and whose pushes are numbered. */
export class Events extends Connection {
  /** `read(push)` gives what a publisher put into it, or null. */
  constructor(config, who, at, read, onData) {
    super(config, who, at, onData);
    this.read = read;
  }

  address() {
    return { path: "/ws/event", headers: {} };
  }

  opened(resume, decide) {
    const jwt = token(this.config, this.user, this.claims);
    this.socket.send(JSON.stringify({ "@type": "subscribe", jwt, resume: true }));
    if (resume) {
      sleep(SILENCE_MS).then(() => decide(true));
    }
  }

  receive(message, decide) {
    if (message["@type"] === "hello") {
      replies.add(true);
      this.greeted(message.connection_id, message.seq);
      decide(true);
    } else if (message["@type"] === "error") {
      replies.add(false);
      console.error(`${this.user}: ${message.error}`);
    } else {
      const data = this.read(message);
      this.counted(message["@seq"], data === null ? undefined : data.at);
      if (data !== null) {
        this.onEvent(data, this);
      }
    }
  }
}
