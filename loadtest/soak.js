// Hours of ordinary life: users arrive slowly, talk in rooms, hear one channel that all
// share, type, and lose their sockets now and then. Memory must stay where it is: see
// the plot of loadtest/run.
//
//   k6 run -e SECRET=… -e API_KEY=… -e VUS=2000 -e DURATION=8h loadtest/soak.js
import { sleep } from "./lib/connection.js";
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, rampMs, setup as prepare } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// SIZE: members of a room. RATE: events a second in each. CUT_EVERY, TYPE_EVERY: seconds
// between a user's cuts and between its typing notices. AWAY_MS: the longest time without
// a socket. RAMP: the part of DURATION over which users arrive.
const config = settings({
  VUS: 500, DURATION: "2h", SIZE: 10, RATE: 0.1, CUT_EVERY: 600, TYPE_EVERY: 30, AWAY_MS: 2000, RAMP: 0.05,
});
const ROOMS = Math.max(1, Math.ceil(config.vus / Math.max(1, config.size)));
config.connectRate = Math.min(config.connectRate, config.vus / Math.max(1, (config.duration * config.ramp) / 1000));
export const options = plan(config, ROOMS + 1, thresholds(config, {
  "resumes{result:reset}": ["count==0"],
  // An event of the time without a socket comes when the socket is back.
  delay_ms: [`p(99)<${config.p99 + config.away_ms}`],
}));
export const setup = () => prepare(config);

const everyone = (run) => `soak-${run}`;
const roomOf = (run, number) => `soak-${run}-${number % ROOMS}`;

async function live(client, room, end) {
  const later = (seconds) => Date.now() + seconds * 1000 * (0.5 + Math.random());
  let typeAt = later(config.type_every);
  let cutAt = later(config.cut_every);
  while (!client.stopping && Date.now() < end) {
    await sleep(250);
    if (Date.now() >= cutAt) {
      cutAt = later(config.cut_every);
      await client.cut(Math.random() * config.away_ms);
    } else if (Date.now() >= typeAt) {
      typeAt = later(config.type_every);
      await client.ask("user_typing", { channel_id: room, parent_id: "" });
    }
  }
}

export async function user({ run }) {
  const number = index();
  const room = roomOf(run, number);
  const end = Date.now() + rampMs(config) + config.duration * 0.95;
  await serve(config, number, {
    id: `soak-${run}-u${number}`, channels: [everyone(run), room], streams: [everyone(run), room],
    also: (client) => live(client, room, end),
  });
}

export async function publisher({ run }) {
  const number = index();
  const channel = number === ROOMS ? everyone(run) : roomOf(run, number);
  await stream(config, number, channel, { channel }, config.rate, config.duration);
}

export const handleSummary = (data) => summary(config, data);
