// Cuts and a storm: every user loses its socket now and then, all of them at once at
// half time, and each goes on with another node, without a gap.
//
//   k6 run -e SECRET=… -e API_KEY=… -e URL=ws://a,ws://b,ws://c loadtest/reconnect.js
import { sleep } from "./lib/connection.js";
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, rampMs, setup as prepare, turnMs } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// RATE: events a second in the channel. CUT_EVERY: seconds between two cuts of a user
// on average. AWAY_MS: the longest time without a socket; most are away for much less.
const config = settings({ VUS: 100, DURATION: "60s", RATE: 5, CUT_EVERY: 10, AWAY_MS: 1500 });
export const options = plan(config, 1, thresholds(config, {
  resumes: [`count>=${config.vus}`],
  "resumes{result:reset}": ["count==0"],
  "resumes{result:lossless}": ["count>=0"],
  "resumes{result:replayed}": ["count>0"],
  // An event of the time without a socket comes when the socket is back.
  delay_ms: [`p(99)<${config.p99 + config.away_ms}`],
}));
export const setup = () => prepare(config);

const channelOf = (run) => `reconnect-${run}`;

/** Cuts at random times, and once together with everybody else. */
async function cuts(client, halfTime, end) {
  let stormed = false;
  for (;;) {
    const pause = Math.max(200, config.cut_every * 1000 * (0.5 + Math.random()));
    const next = stormed ? Date.now() + pause : Math.min(Date.now() + pause, halfTime);
    // The last events are to be awaited, not to be resumed into.
    if (next > end) {
      return;
    }
    while (Date.now() < next) {
      await sleep(Math.min(100, Math.max(1, next - Date.now())));
      if (client.stopping) {
        return;
      }
    }
    stormed = stormed || Date.now() >= halfTime;
    await client.cut(Math.pow(Math.random(), 3) * config.away_ms);
  }
}

export async function user({ run }) {
  const number = index();
  const channel = channelOf(run);
  const began = Date.now() + rampMs(config) - turnMs(config, 0);
  await serve(config, number, {
    id: `reconnect-${run}-${number}`, channels: [channel], streams: [channel],
    also: (client) => cuts(client, began + config.duration / 2, began + config.duration * 0.9),
  });
}

export async function publisher({ run }) {
  const channel = channelOf(run);
  await stream(config, 0, channel, { channel }, config.rate, config.duration);
}

export const handleSummary = (data) => {
  const count = (result) => {
    const metric = data.metrics[`resumes{result:${result}}`];
    return metric === undefined ? 0 : metric.values.count;
  };
  return summary(config, data, `resumes: ${count("lossless")} lossless, ${count("replayed")} replayed, ${count("reset")} reset`);
};
