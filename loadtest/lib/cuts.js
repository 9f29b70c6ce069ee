// Sockets that end on purpose, and are resumed.
import { sleep } from "./connection.js";

const LOOK_MS = 100;

/**
 * Cuts a connection every `config.cut_every` seconds on average until `end`, and at
 * `storm`, when that is given, together with everybody else.
 */
export async function cuts(connection, config, end, storm = Infinity) {
  let stormed = false;
  for (;;) {
    const pause = Math.max(200, config.cut_every * 1000 * (0.5 + Math.random()));
    const next = stormed ? Date.now() + pause : Math.min(Date.now() + pause, storm);
    // The last events are to be awaited, not to be resumed into.
    if (next > end) {
      return;
    }
    while (Date.now() < next) {
      await sleep(Math.min(LOOK_MS, Math.max(1, next - Date.now())));
      if (connection.stopping) {
        return;
      }
    }
    const inStorm = !stormed && Date.now() >= storm;
    stormed = stormed || inStorm;
    // After a storm nobody is back at once; else most are away for much less than they may.
    const part = inStorm ? 0.5 + Math.random() / 2 : Math.pow(Math.random(), 3);
    await connection.cut(part * config.away_ms);
  }
}
