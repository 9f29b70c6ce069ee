// k6/http: requests that do not block; a request that got no answer has status 0.
import http from "node:http";
import https from "node:https";

const agents = {
  "http:": new http.Agent({ keepAlive: true, maxSockets: 64 }),
  "https:": new https.Agent({ keepAlive: true, maxSockets: 64 }),
};
const milliseconds = (text) => parseFloat(text) * (String(text).endsWith("ms") ? 1 : 1000);

/** One attempt; an error is `stale` when a kept socket ended before it answered. */
function attempt(method, url, body, options) {
  const { protocol } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = (protocol === "https:" ? https : http).request(
      url,
      { method, agent: agents[protocol], ...options },
      (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => {
          const text = Buffer.concat(parts).toString();
          resolve({ status: answer.statusCode, error: "", body: text, json: () => JSON.parse(text) });
        });
      },
    );
    request.on("error", (error) => {
      const stale = request.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(Object.assign(error, { stale }));
    });
    request.end(body ?? undefined);
  });
}

async function asyncRequest(method, url, body, { headers = {}, timeout = "60s" } = {}) {
  const options = { headers, signal: AbortSignal.timeout(milliseconds(timeout)) };
  try {
    return await attempt(method, url, body, options).catch((error) => {
      // The server ended an idle socket while the request was on its way. Everything that scripts
      // send may be sent again, and a new socket tells whether the server is there.
      if (error.stale) return attempt(method, url, body, { ...options, agent: false });
      throw error;
    });
  } catch (error) {
    return { status: 0, error: String(error), body: null, json: () => null };
  }
}

export default { asyncRequest };
