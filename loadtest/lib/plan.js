// Who runs when: users connect first, then publishers publish for DURATION, then
// everybody waits for the last event of each publisher.
import exec from "k6/execution";

import { checkApis } from "./api.js";
import { startCounters } from "./metrics.js";

// How much longer a scenario may take than its most patient user.
const SPARE_MS = 10000;
const SETTLE_MS = 1500;

/** When publishers begin, in milliseconds after the users do. */
export const rampMs = (config) => Math.ceil(((config.rampUsers || config.vus) / config.connectRate) * 1000) + SETTLE_MS;

/** When a user who still waits for something gives up, after its start. */
export const patienceMs = (config) => rampMs(config) + config.duration + config.late;

/** The pause before user number `index` connects. */
export const turnMs = (config, index) => (index / config.connectRate) * 1000;

/** The options of a script whose functions are `user` and `publisher`. */
export function options(config, publishers, thresholds, more) {
  const maxDuration = `${Math.ceil((patienceMs(config) + SPARE_MS) / 1000)}s`;
  const scenario = (name, vus, startMs) => ({
    executor: "per-vu-iterations", exec: name, vus, iterations: 1, maxDuration, startTime: `${startMs}ms`, gracefulStop: "1s",
  });
  const scenarios = { users: scenario("user", config.vus, 0) };
  if (publishers > 0) {
    scenarios.publishers = scenario("publisher", publishers, rampMs(config));
  }
  return {
    scenarios, thresholds, setupTimeout: "30s",
    summaryTrendStats: ["avg", "min", "med", "p(90)", "p(95)", "p(99)", "max"], ...more,
  };
}

/** For a script's `setup`: what all users of this run share. */
export async function setup(config) {
  await checkApis(config);
  startCounters();
  return { run: Date.now().toString(36) };
}

/** The number of this user or publisher in its scenario, from 0. */
export const index = () => exec.scenario.iterationInTest;
