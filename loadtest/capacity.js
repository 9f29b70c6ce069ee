// How many users does this cluster bear? Adds users step by step, in rooms with the
// same traffic for each user, until a threshold trips, and says where. The run fails
// where it trips: it passes only when VUS users were served.
//
//   k6 run -e SECRET=… -e API_KEY=… -e VUS=10000 -e STEPS=20 -e DURATION=20m loadtest/capacity.js
import { Counter } from "k6/metrics";

import { sleep } from "./lib/connection.js";
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, rampMs, setup as prepare, turnMs } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// VUS: users of the last step. STEPS: how many steps; DURATION is shared by them, at
// least 3 s each. SIZE: members of a room. RATE: events a second in each.
const config = settings({ VUS: 2000, DURATION: "5m", STEPS: 10, SIZE: 10, RATE: 0.5, P99_MS: 500 });
const SHORTEST_MS = 3000;
const STEPS = Math.max(1, Math.min(config.steps, config.vus, Math.floor(config.duration / SHORTEST_MS)));
const STEP_MS = config.duration / STEPS;
const STEP_USERS = Math.ceil(config.vus / STEPS);
const STEP_ROOMS = Math.max(1, Math.ceil(STEP_USERS / Math.max(1, config.size)));
// Users of one step connect while it begins, the others later.
config.rampUsers = STEP_USERS;

const stepsDone = new Counter("steps_done");

const stepOf = (number) => Math.floor(number / STEP_USERS);
const usersIn = (steps) => Math.min(config.vus, steps * STEP_USERS);
const at = (step) => `delay_ms{step:${step + 1}}`;
const stop = (threshold) => [{ threshold, abortOnFail: true }];

const perStep = {};
for (let step = 0; step < STEPS; step += 1) {
  perStep[at(step)] = stop(`p(99)<${config.p99}`);
}
export const options = plan(config, STEPS * STEP_ROOMS, thresholds(config, {
  ...perStep,
  connects: stop("rate>=1"),
  lost_sockets: stop("count==0"),
  missing: stop("count==0"),
  publish_ok: stop("rate>=1"),
  replies: stop("rate>=1"),
  steps_done: [`count==${STEPS}`],
}));
export const setup = () => prepare(config);

const roomOf = (run, step, number) => `capacity-${run}-${step * STEP_ROOMS + (number % STEP_ROOMS)}`;
const hasRoom = (step, room) => step * STEP_USERS + room < usersIn(step + 1);

/** Counts the steps that went by; a run that is aborted does not get there. */
async function countSteps(began, ramp) {
  for (let step = 1; step <= STEPS; step += 1) {
    await sleep(Math.max(0, began + ramp + step * STEP_MS - Date.now()));
    stepsDone.add(1);
  }
}

export async function user({ run }) {
  const number = index();
  const step = stepOf(number);
  const began = Date.now();
  const ramp = rampMs(config);
  const counting = number === 0 ? countSteps(began, ramp) : null;
  const room = roomOf(run, step, number % STEP_USERS);
  await serve(config, number, {
    id: `capacity-${run}-u${number}`, channels: [room], streams: [room],
    wait: step * STEP_MS + turnMs(config, number % STEP_USERS),
    tags: () => ({ step: String(Math.max(1, Math.min(STEPS, Math.ceil((Date.now() - began - ramp) / STEP_MS)))) }),
  });
  await counting;
}

export async function publisher({ run }) {
  const number = index();
  const step = Math.floor(number / STEP_ROOMS);
  const room = number % STEP_ROOMS;
  if (!hasRoom(step, room)) {
    return;
  }
  await sleep(step * STEP_MS);
  const channel = roomOf(run, step, room);
  await stream(config, number, channel, { channel }, config.rate, config.duration - step * STEP_MS);
}

export const handleSummary = (data) => {
  const done = data.metrics.steps_done === undefined ? 0 : data.metrics.steps_done.values.count;
  const next = done < STEPS ? `; with ${usersIn(done + 1)} a threshold tripped` : ", which is all of them: raise VUS";
  return summary(config, data, `capacity: served ${usersIn(done)} users${next}`);
};
