// Many small channels: the usual chat, where most events have few readers.
//
//   k6 run -e SECRET=… -e API_KEY=… -e VUS=1000 -e SIZE=5 loadtest/rooms.js
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, setup as prepare } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// SIZE: members of a room. RATE: events a second in each.
const config = settings({ VUS: 200, DURATION: "60s", SIZE: 5, RATE: 0.5 });
const ROOMS = Math.max(1, Math.ceil(config.vus / Math.max(1, config.size)));
export const options = plan(config, ROOMS, thresholds(config));
export const setup = () => prepare(config);

const roomOf = (run, number) => `rooms-${run}-${number % ROOMS}`;

export async function user({ run }) {
  const number = index();
  const room = roomOf(run, number);
  await serve(config, number, { id: `rooms-${run}-u${number}`, channels: [room], streams: [room] });
}

export async function publisher({ run }) {
  const number = index();
  const room = roomOf(run, number);
  await stream(config, number, room, { channel: room }, config.rate, config.duration);
}

export const handleSummary = (data) => summary(config, data);
