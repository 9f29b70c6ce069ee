// Status and typing: groups of users who type, leave, come back, and watch each other.
//
//   k6 run -e SECRET=… -e API_KEY=… -e VUS=500 loadtest/presence.js
import { Counter, Rate, Trend } from "k6/metrics";

import { sleep } from "./lib/connection.js";
import { thresholds } from "./lib/metrics.js";
import { index, options as plan, rampMs, setup as prepare } from "./lib/plan.js";
import { settings } from "./lib/settings.js";
import { stream } from "./lib/stream.js";
import { summary } from "./lib/summary.js";
import { serve } from "./lib/user.js";

// SIZE: users of a group. EVERY: seconds between two things that a user does.
const config = settings({ VUS: 100, DURATION: "60s", SIZE: 5, EVERY: 2 });
if (config.vus < 2 || config.size < 2) {
  throw new Error(`VUS=${config.vus}, SIZE=${config.size}: users watch each other, so at least two are needed`);
}
const GROUPS = Math.ceil(config.vus / config.size);
const STATUS_WITHIN_MS = 5000;

const typingMs = new Trend("typing_ms", true);
// A typing notice may be withheld from a slow reader, so a few may be missing.
const typingSeen = new Rate("typing_seen");
const statusMs = new Trend("status_ms", true);
const statusSeen = new Rate("status_seen");
const watched = new Counter("watched_changes");
const presentSeen = new Rate("present_seen");

export const options = plan(config, GROUPS, thresholds(config, {
  typing_seen: ["rate>0.95"],
  typing_ms: [`p(99)<${config.p99}`],
  status_seen: ["rate>=1"],
  status_ms: [`p(99)<${config.p99}`],
  present_seen: ["rate>=1"],
  watched_changes: ["count>0"],
}));
export const setup = () => prepare(config);

const groupOf = (run, number) => `presence-${run}-${number % GROUPS}`;
const idOf = (run, number) => `presence-${run}-u${number}`;

/** The other members of the group of user `number`. */
function others(run, number) {
  const found = [];
  for (let other = number % GROUPS; other < config.vus; other += GROUPS) {
    if (other !== number) {
      found.push(idOf(run, other));
    }
  }
  return found;
}

class Watcher {
  constructor(id) {
    this.id = id;
    this.typed = new Map();
    this.own = null;
  }

  take({ event, data }) {
    if (event === "typing") {
      // The thread that is typed in is the number and the time of the notice.
      const [number, at] = data.parent_id.split("-").map(Number);
      const before = this.typed.get(data.user_id);
      for (let gone = before === undefined ? number : before + 1; gone < number; gone += 1) {
        typingSeen.add(false);
      }
      this.typed.set(data.user_id, number);
      typingSeen.add(true);
      typingMs.add(Date.now() - at);
    } else if (event === "status_change" && data.user_id === this.id) {
      if (this.own !== null && this.own.status === data.status) {
        statusMs.add(Date.now() - this.own.at);
        this.own.seen();
      }
    } else if (event === "status_change") {
      watched.add(1);
    }
  }

  /** Changes the status and waits for the event that says so. */
  async change(client, active) {
    let seen = false;
    this.own = { status: active ? "online" : "away", at: Date.now(), seen: () => { seen = true; } };
    const deadline = Date.now() + STATUS_WITHIN_MS;
    await client.ask("user_update_active_status", { user_is_active: active, manual: true });
    while (!seen && Date.now() < deadline && !client.stopping) {
      await sleep(20);
    }
    this.own = null;
    if (seen || !client.stopping) {
      statusSeen.add(seen);
    }
  }
}

/** Everybody is here until the end, so nobody may be said to be offline. */
async function lookAround(client, friends) {
  if (friends.length === 0) {
    presentSeen.add(true);
    return;
  }
  const reply = await client.ask("get_statuses_by_ids", { user_ids: friends });
  if (reply !== undefined) {
    presentSeen.add(reply !== null && friends.every((friend) => reply.data[friend] !== "offline"));
  }
}

async function live(client, watcher, run, number, begin) {
  const friends = others(run, number);
  const end = begin + config.duration;
  await sleep(Math.max(0, begin - Date.now()) + Math.random() * 500);
  if (friends.length > 0) {
    await client.ask("subscribe_statuses", { user_ids: friends });
  }
  let round = 0;
  // Half a round before the end nobody begins anything that the others would miss.
  while (!client.stopping && Date.now() < end - config.every * 500) {
    round += 1;
    await client.ask("user_typing", { channel_id: groupOf(run, number), parent_id: `${round}-${Date.now()}` });
    await watcher.change(client, round % 2 === 0);
    await lookAround(client, friends);
    await sleep(config.every * 1000 * (0.75 + Math.random() / 2));
  }
}

export async function user({ run }) {
  const number = index();
  const id = idOf(run, number);
  const group = groupOf(run, number);
  const watcher = new Watcher(id);
  const begin = Date.now() + rampMs(config);
  await serve(config, number, {
    id, channels: [group], streams: [group],
    also: (client) => live(client, watcher, run, number, begin),
    onEvent: (event) => watcher.take(event),
  });
}

// One event a second in each group, so that what a user must get is known to the end.
export async function publisher({ run }) {
  const group = groupOf(run, index());
  await stream(config, index(), group, { channel: group }, 1, config.duration);
}

export const handleSummary = (data) => summary(config, data);
