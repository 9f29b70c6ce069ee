// Does it work at all? A few users in one channel, each with events of its own, too.
//
//   k6 run -e SECRET=… -e API_KEY=… loadtest/smoke.js
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, setup as prepare } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// RATE: events a second in the channel; each user gets one a second to itself.
const config = settings({ VUS: 10, DURATION: "20s", RATE: 5 });
export const options = plan(config, 1 + config.vus, thresholds(config));
export const setup = () => prepare(config);

const channelOf = (run) => `smoke-${run}`;
const nameOf = (run, number) => `smoke-${run}-${number}`;

export async function user({ run }) {
  const number = index();
  const id = nameOf(run, number);
  await serve(config, number, { id, channels: [channelOf(run)], streams: [channelOf(run), id] });
}

export async function publisher({ run }) {
  const number = index();
  if (number === config.vus) {
    await stream(config, 0, channelOf(run), { channel: channelOf(run) }, config.rate, config.duration);
  } else {
    const id = nameOf(run, number);
    await stream(config, number, id, { user: id }, 1, config.duration);
  }
}

export const handleSummary = (data) => summary(config, data);
