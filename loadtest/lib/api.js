// The server API, as a backend uses it: one node after the other, and every event
// with an id, so that it can be sent again when no answer came.
import http from "k6/http";

import { publishOk, published } from "./metrics.js";

const TRIES = 3;
const TIMEOUT = "5s";

function params(config, name) {
  const headers = { "Content-Type": "application/json" };
  if (config.apiKey !== "") {
    headers.Authorization = `Bearer ${config.apiKey}`;
  }
  return { headers, timeout: TIMEOUT, tags: { name } };
}

/** Fails the run at once when a node's API does not answer, or refuses the key. */
export async function checkApis(config) {
  for (const api of config.apis) {
    const answer = await http.asyncRequest("GET", `${api}/api/v1/node`, null, params(config, "node"));
    if (answer.status !== 200) {
      throw new Error(`${api}/api/v1/node answered ${answer.status}: is API right, and API_KEY?`);
    }
  }
}

/** The answer to one call, as JSON, or null when it was not 200. */
async function call(config, at, path, body) {
  const api = config.apis[at % config.apis.length];
  const answer = await http.asyncRequest("POST", `${api}/api/v1/${path}`, JSON.stringify(body), params(config, path));
  return answer.status === 200 ? answer.json() : null;
}

/** Prepares what a script needs; there is no run without it. */
export async function must(config, method, path, body) {
  const url = `${config.apis[0]}/api/v1/${path}`;
  const answer = await http.asyncRequest(method, url, JSON.stringify({ realm: config.realm, ...body }), params(config, "prepare"));
  if (answer.status !== 200) {
    throw new Error(`${method} ${url} answered ${answer.status}: ${answer.body}`);
  }
}

/** Publishes one event by `path`; each refusal counts, and another node is asked. */
export async function publish(config, at, event, path = "publish") {
  const body = { realm: config.realm, ...event };
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const answer = await call(config, at + attempt, path, body);
    publishOk.add(answer !== null);
    if (answer !== null) {
      published.add(1);
      return answer.position;
    }
  }
  return null;
}
