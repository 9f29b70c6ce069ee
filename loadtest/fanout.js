// One channel with every user in it: what does an event cost that everybody gets?
//
//   k6 run -e SECRET=… -e API_KEY=… -e VUS=1000 -e RATE=20 loadtest/fanout.js
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, setup as prepare } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// RATE: events a second, shared by publishers that send at most 20 each.
const config = settings({ VUS: 200, DURATION: "60s", RATE: 10 });
const PUBLISHERS = Math.max(1, Math.ceil(config.rate / 20));
export const options = plan(config, PUBLISHERS, thresholds(config));
export const setup = () => prepare(config);

const channelOf = (run) => `fanout-${run}`;
const streamOf = (run, publisher) => `fanout-${run}-p${publisher}`;

export async function user({ run }) {
  const number = index();
  const streams = Array.from({ length: PUBLISHERS }, (_, publisher) => streamOf(run, publisher));
  await serve(config, number, { id: `fanout-${run}-${number}`, channels: [channelOf(run)], streams });
}

export async function publisher({ run }) {
  const number = index();
  const to = { channel: channelOf(run) };
  await stream(config, number, streamOf(run, number), to, config.rate / PUBLISHERS, config.duration);
}

export const handleSummary = (data) => summary(config, data);
