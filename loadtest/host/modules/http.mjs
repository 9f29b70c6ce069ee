// k6/http: requests that do not block; a request that got no answer has status 0.
import http from "node:http";
import https from "node:https";

const agents = {
  "http:": new http.Agent({ keepAlive: true, maxSockets: 64 }),
  "https:": new https.Agent({ keepAlive: true, maxSockets: 64 }),
};
const milliseconds = (text) => parseFloat(text) * (String(text).endsWith("ms") ? 1 : 1000);

function asyncRequest(method, url, body, { headers = {}, timeout = "60s" } = {}) {
  const { protocol } = new URL(url);
  return new Promise((resolve) => {
    const failed = (error) => resolve({ status: 0, error: String(error), body: null, json: () => null });
    const request = (protocol === "https:" ? https : http).request(
      url,
      { method, headers, agent: agents[protocol], signal: AbortSignal.timeout(milliseconds(timeout)) },
      (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("error", failed);
        answer.on("end", () => {
          const text = Buffer.concat(parts).toString();
          resolve({ status: answer.statusCode, error: "", body: text, json: () => JSON.parse(text) });
        });
      },
    );
    request.on("error", failed);
    request.end(body ?? undefined);
  });
}

export default { asyncRequest };
