// Numbered, stamped events: a publisher sends 1, 2, 3 … and marks the last, so that a
// receiver knows by itself what it did not get.
import { publish } from "./api.js";
import { sleep } from "./connection.js";
import { delayMs, deliveries, duplicates, missing } from "./metrics.js";

const EVENT = "load_test";
// Multiples of the golden ratio fill an interval evenly, however many there are.
const SPREAD = 0.618034;

/** Publishes the events of a stream to `to`: see `paced`. */
export async function stream(config, at, name, to, perSecond, durationMs) {
  await paced(at, name, perSecond, durationMs, (data) => {
    const id = `${name}-${data.began}-${data.n}`;
    return publish(config, at + data.n, { event: EVENT, data, to, id });
  });
}

/**
 * Calls `send` about `perSecond` times a second for `durationMs`, each time after the
 * one before has ended, and then with the last. `at` is the publisher's number.
 */
export async function paced(at, name, perSecond, durationMs, send) {
  const pause = 1000 / perSecond;
  const end = Date.now() + durationMs;
  // Publishers of one second would else publish in the same millisecond of it.
  await sleep(Math.min(pause, durationMs / 4) * ((at * SPREAD) % 1));
  const began = Date.now();
  let number = 0;
  for (let last = false; !last; ) {
    last = Date.now() >= end;
    number += 1;
    await send({ stream: name, n: number, began, last, at: Date.now() });
    await sleep(Math.max(0, Math.min(began + number * pause, end) - Date.now()));
  }
}

/** What one user must get: every event of the streams that it waits for. */
export class Inbox {
  /** `tags()` says under which tags a delivery counts. */
  constructor(streams, tags) {
    this.tags = tags || (() => ({}));
    this.expected = new Map(streams.map((name) => [name, { next: 0, done: false }]));
    this.open = this.expected.size;
  }

  /** Takes an event that came to a user who was greeted at `helloAt`. */
  take({ event, data }, helloAt) {
    if (event === EVENT) {
      this.count(data, helloAt);
    }
  }

  /** Counts what `paced` gave to its publisher. */
  count({ stream: name, n, began, last, at }, helloAt) {
    const state = this.expected.get(name);
    if (state === undefined) {
      return;
    }
    const tags = this.tags();
    deliveries.add(1, tags);
    delayMs.add(Date.now() - at, tags);
    if (state.next === 0) {
      // Who came before the stream began must see its first event.
      state.next = helloAt < began ? 1 : n;
    }
    if (n < state.next) {
      duplicates.add(1);
      return;
    }
    missing.add(n - state.next);
    state.next = n + 1;
    if (last && !state.done) {
      state.done = true;
      this.open -= 1;
    }
  }

  /** Waits until every stream has ended; what has not ended by `deadline` is missing. */
  async end(deadline) {
    while (this.open > 0 && Date.now() < deadline) {
      await sleep(50);
    }
    missing.add(this.open);
    return this.open === 0;
  }
}
