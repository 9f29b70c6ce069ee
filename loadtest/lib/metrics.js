// What a run counts, and what lets it fail.
import { Counter, Rate, Trend } from "k6/metrics";

export const usersConnected = new Counter("users_connected");
export const usersComplete = new Counter("users_complete");
export const connects = new Rate("connects");
export const connectMs = new Trend("connect_ms", true);
export const lostSockets = new Counter("lost_sockets");
export const published = new Counter("published");
export const publishOk = new Rate("publish_ok");
export const deliveries = new Counter("deliveries");
export const delayMs = new Trend("delay_ms", true);
export const missing = new Counter("missing");
export const duplicates = new Counter("duplicates");
export const seqErrors = new Counter("seq_errors");
export const resumes = new Counter("resumes");
export const replies = new Rate("replies");

/** Counts nothing, so that a counter of what did not happen is there, and 0. */
export function startCounters() {
  for (const counter of [usersConnected, usersComplete, lostSockets, published, deliveries, missing, duplicates, seqErrors]) {
    counter.add(0);
  }
}

/**
 * What every script demands. Nothing here forgives a node that is gone: a socket that
 * ends unasked, a connection or a publish that is refused, an event that does not
 * come, a user who is not served to the end.
 */
export function thresholds(config, more) {
  return {
    users_connected: [`count==${config.vus}`],
    users_complete: [`count==${config.vus}`],
    connects: ["rate>=1"],
    lost_sockets: ["count==0"],
    publish_ok: ["rate>=1"],
    deliveries: ["count>0"],
    missing: ["count==0"],
    duplicates: ["count==0"],
    seq_errors: ["count==0"],
    replies: ["rate>=1"],
    delay_ms: [`p(99)<${config.p99}`],
    ...more,
  };
}
