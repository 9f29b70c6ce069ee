// Cuts and a storm: every user loses its socket now and then, all of them at once at
// half time, and each goes on with another node, without a gap.
//
//   k6 run -e SECRET=… -e API_KEY=… -e URL=ws://a,ws://b,ws://c loadtest/reconnect.js
import { cuts } from "./lib/cuts.js";
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, rampMs, setup as prepare } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// RATE: events a second in the channel. CUT_EVERY: seconds between two cuts of a user
// on average. AWAY_MS: the longest time without a socket; most are away for much less.
const config = settings({ VUS: 100, DURATION: "60s", RATE: 5, CUT_EVERY: 10, AWAY_MS: 1500 });
// Who is away for longer than it takes to publish must be told what it missed.
const mustReplay = config.away_ms / 2 > 1000 / config.rate;
export const options = plan(config, 1, thresholds(config, {
  resumes: [`count>=${config.vus}`],
  "resumes{result:reset}": ["count==0"],
  "resumes{result:lossless}": ["count>=0"],
  "resumes{result:replayed}": [mustReplay ? "count>0" : "count>=0"],
  // An event of the time without a socket comes when the socket is back.
  delay_ms: [`p(99)<${config.p99 + config.away_ms}`],
}));
export const setup = () => prepare(config);

const channelOf = (run) => `reconnect-${run}`;

export async function user({ run }) {
  const number = index();
  const channel = channelOf(run);
  const began = Date.now() + rampMs(config);
  await serve(config, number, {
    id: `reconnect-${run}-${number}`, channels: [channel], streams: [channel],
    also: (client) => cuts(client, config, began + config.duration * 0.9, began + config.duration / 2),
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
