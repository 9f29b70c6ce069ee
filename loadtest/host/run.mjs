#!/usr/bin/env node
// Runs a load test with Node, for machines without k6: the part of k6's interface that
// the scripts use, with the same verdict and exit codes.
//
//   node loadtest/host/run.mjs run -e NAME=value … SCRIPT
//
// All users share one process, one thread and one copy of the script's modules, so a
// script keeps nothing of a user at the level of its module. k6 gives each user an
// interpreter of its own and uses all CPUs; its figures are the ones to compare.

import { writeFileSync } from "node:fs";
import { register } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { asScenario } from "./state.mjs";
import { judge, registry } from "./metrics.mjs";

const EXIT = { passed: 0, thresholds: 99, usage: 104, setup: 107 };
const CHECK_EVERY_MS = 1000;

function usage(problem) {
  process.stderr.write(`error: ${problem}\nusage: run.mjs run [-e NAME=value]… SCRIPT\n`);
  process.exit(EXIT.usage);
}

function parse(words) {
  const env = {};
  let script = null;
  if (words.shift() !== "run") usage("the only command is run");
  while (words.length > 0) {
    const word = words.shift();
    if (word === "-e" || word === "--env") {
      const [, name, value] = (words.shift() ?? "").match(/^([^=]+)=(.*)$/s) ?? usage("-e needs NAME=value");
      env[name] = value;
    } else if (word.startsWith("-") || script !== null) usage(`${word} is not understood`);
    else script = word;
  }
  return { env, script: script ?? usage("no script") };
}

const milliseconds = (text) => {
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  return [...String(text ?? "0s").matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce((sum, [, n, unit]) => sum + n * units[unit], 0);
};
const pause = (ms) => new Promise((done) => setTimeout(done, ms).unref());

/** One scenario: `vus` users, each once, ended after `maxDuration`. */
async function scenario(name, plan, script, data) {
  if (plan.executor !== "per-vu-iterations" || plan.iterations !== 1) {
    throw new Error(`scenario ${name}: only per-vu-iterations with one iteration is known here`);
  }
  await new Promise((done) => setTimeout(done, milliseconds(plan.startTime)));
  const users = Array.from({ length: plan.vus }, (_, index) =>
    asScenario({ name, index }, () => script[plan.exec](data)).catch((error) => {
      process.stderr.write(`${name} ${index}: ${error.stack ?? error}\n`);
    }),
  );
  await Promise.race([Promise.all(users), pause(milliseconds(plan.maxDuration))]);
}

/** Resolves when a threshold that may abort the run fails. */
function watch(thresholds) {
  return new Promise((tripped) => {
    const timer = setInterval(() => {
      const found = judge(thresholds, true);
      if (found.length > 0) {
        clearInterval(timer);
        tripped(found);
      }
    }, CHECK_EVERY_MS);
    timer.unref();
  });
}

async function main() {
  const { env, script: path } = parse(process.argv.slice(2));
  globalThis.__ENV = { ...process.env, LOADTEST_GIVEN: Object.keys(env).join(","), ...env };
  register("./hooks.mjs", import.meta.url);
  let script;
  let data;
  try {
    script = await import(pathToFileURL(resolve(path)).href);
    data = JSON.parse(JSON.stringify((await script.setup?.()) ?? null));
  } catch (error) {
    process.stderr.write(`${error.stack ?? error}\n`);
    process.exit(EXIT.setup);
  }
  const { scenarios, thresholds = {} } = script.options;
  const began = Date.now();
  const all = Promise.all(Object.entries(scenarios).map(([name, plan]) => scenario(name, plan, script, data)));
  const tripped = await Promise.race([all.then(() => null), watch(thresholds)]);
  const failed = judge(thresholds, false);
  const metrics = registry.report(thresholds, script.options.summaryTrendStats);
  const state = { testRunDurationMs: Date.now() - began };
  for (const [where, text] of Object.entries(script.handleSummary({ metrics, state, options: script.options }))) {
    if (where === "stdout") process.stdout.write(text);
    else writeFileSync(where, text);
  }
  // What is still open ends with the process, as k6 ends its users.
  process.exit(failed.length > 0 || tripped ? EXIT.thresholds : EXIT.passed);
}

main().catch((error) => {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exit(EXIT.setup);
});
