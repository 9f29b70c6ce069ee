// A user's run from its turn to connect until the last event has come.
import { Client } from "./client.js";
import { sleep } from "./connection.js";
import { usersComplete, usersConnected } from "./metrics.js";
import { patienceMs, turnMs } from "./plan.js";
import { Inbox } from "./stream.js";

/**
 * Serves user `number`, who is in `channels` and waits for `streams`. `also(client)`
 * is what it does besides, until it is asked to stop by `client.stopping`; `onEvent`
 * sees every event; `wait` is the pause before it connects.
 */
export async function serve(config, number, { id, channels, streams, tags, wait, also, onEvent }) {
  const deadline = Date.now() + patienceMs(config);
  await sleep(wait === undefined ? turnMs(config, number) : wait);
  const inbox = new Inbox(streams, tags);
  const client = new Client(config, { id, claims: { channels }, deadline }, number, (event, self) => {
    inbox.take(event, self.helloAt);
    if (onEvent) {
      onEvent(event, self);
    }
  });
  if (await client.start()) {
    usersConnected.add(1);
  }
  const busy = also ? also(client) : null;
  if (await inbox.end(deadline)) {
    usersComplete.add(1);
  }
  client.stop();
  await busy;
}
