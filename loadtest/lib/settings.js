// What `-e NAME=value` says. Every script obeys URL, API, SECRET, API_KEY, VUS and
// DURATION; a script names further ones of its own, with their defaults.
//
// A value that makes no sense throws while the script is loaded: nothing is measured.

// All scripts know these.
const COMMON = [
  "URL", "API", "SECRET", "API_KEY", "VUS", "DURATION", "P99_MS", "CONNECT_RATE", "LATE_MS", "REALM", "SUMMARY",
];
const UNITS = { ms: 1, s: 1000, m: 60000, h: 3600000 };
// A token lives for at most a day, and a socket ends with it.
const LONGEST_MS = 23 * UNITS.h;

/** Milliseconds of `30s`, `1h30m` or `500ms`. */
export function milliseconds(name, text) {
  const parts = String(text).match(/\d+(?:\.\d+)?(?:ms|s|m|h)/g) || [];
  if (parts.join("") !== text) {
    throw new Error(`${name}=${text}: a duration has units, such as 30s or 1h30m`);
  }
  return parts.reduce((sum, part) => sum + parseFloat(part) * UNITS[part.replace(/[\d.]/g, "")], 0);
}

/** The number in `text`, at least `least`. */
export function number(name, text, least) {
  const value = Number(text);
  if (!Number.isFinite(value) || value < least) {
    throw new Error(`${name}=${text}: a number of at least ${least} is needed`);
  }
  return value;
}

function addresses(name, text, scheme) {
  const list = text.split(",").map((part) => part.trim().replace(/\/+$/, "")).filter((part) => part);
  for (const address of list) {
    if (!scheme.test(address)) {
      throw new Error(`${name}=${text}: ${address} does not begin with ${scheme.source.slice(1)}`);
    }
  }
  if (list.length === 0) {
    throw new Error(`${name} is empty`);
  }
  return list;
}

/**
 * Refuses what was given and nobody reads. k6 puts the variables of the shell among those of `-e`, so
 * loadtest/run and the host say which were given; k6 by itself does not.
 */
function refuseUnknown(own) {
  const known = [...COMMON, ...own.filter((name) => !COMMON.includes(name))];
  const unknown = (__ENV.LOADTEST_GIVEN || "").split(",").filter((name) => name && !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(`-e ${unknown.join(", ")}: this script knows ${known.join(", ")}`);
  }
}

/** The settings of a run; `defaults` has VUS and DURATION, and what else the script knows. */
export function settings(defaults) {
  refuseUnknown(Object.keys(defaults));
  const value = (name, other) => (__ENV[name] === undefined || __ENV[name] === "" ? String(other) : __ENV[name]);
  const found = {
    urls: addresses("URL", value("URL", "ws://127.0.0.1:8065"), /^wss?:\/\//),
    apis: addresses("API", value("API", "http://127.0.0.1:8067"), /^https?:\/\//),
    secret: value("SECRET", ""),
    apiKey: value("API_KEY", ""),
    vus: Math.floor(number("VUS", value("VUS", defaults.VUS), 1)),
    duration: milliseconds("DURATION", value("DURATION", defaults.DURATION)),
    // The slowest delivery of a hundred that still passes.
    p99: number("P99_MS", value("P99_MS", defaults.P99_MS || 1000), 1),
    // Users that connect in a second while the run begins.
    connectRate: number("CONNECT_RATE", value("CONNECT_RATE", 200), 0.1),
    // How long the last event may be on its way before it is missing.
    late: number("LATE_MS", value("LATE_MS", 10000), 1),
    realm: value("REALM", "default"),
    summary: value("SUMMARY", ""),
  };
  if (found.secret === "") {
    throw new Error("SECRET is missing: the key that the server checks tokens with (auth.secret)");
  }
  if (found.duration < 1000 || found.duration > LONGEST_MS) {
    throw new Error("DURATION is between 1s and 23h, because a token lives for at most a day");
  }
  for (const name of Object.keys(defaults)) {
    if (!["VUS", "DURATION", "P99_MS"].includes(name)) {
      found[name.toLowerCase()] = number(name, value(name, defaults[name]), 0);
    }
  }
  return found;
}
