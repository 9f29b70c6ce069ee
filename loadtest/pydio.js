// The Pydio gateway: every user hears what moves in the tree of one workspace, loses
// its socket now and then, and goes on without a gap.
//
//   k6 run -e SECRET=… -e API_KEY=… -e VUS=200 loadtest/pydio.js
import { must, publish } from "./lib/api.js";
import { sleep } from "./lib/connection.js";
import { cuts } from "./lib/cuts.js";
import { thresholds, usersComplete, usersConnected } from "./lib/metrics.js";
import { index, options as plan, patienceMs, rampMs, setup as prepare, turnMs } from "./lib/plan.js";
import { Events } from "./lib/pydio.js";
import { settings } from "./lib/settings.js";
import { Inbox, paced } from "./lib/stream.js";
import { summary } from "./lib/summary.js";

// RATE: moves a second in the workspace. CUT_EVERY: seconds between two cuts of a user on
// average. AWAY_MS: the longest time without a socket.
const config = settings({ VUS: 50, DURATION: "60s", RATE: 5, CUT_EVERY: 20, AWAY_MS: 1500 });
export const options = plan(config, 1, thresholds(config, {
  "resumes{result:reset}": ["count==0"],
  delay_ms: [`p(99)<${config.p99 + config.away_ms}`],
}));

const workspaceOf = (run) => `pydio-${run}`;
const folderOf = (run) => `load-${run}`;

export async function setup() {
  const data = await prepare(config);
  const roots = [{ uuid: `pydio-${data.run}-root`, path: folderOf(data.run) }];
  await must(config, "PUT", `pydio/workspaces/${workspaceOf(data.run)}`, { label: "Load test", roots, rules: [] });
  return data;
}

/** What the publisher put into a node, where the push has one. */
function read({ Target }) {
  const text = Target && Target.MetaStore && Target.MetaStore.load;
  return text ? JSON.parse(text) : null;
}

export async function user({ run }) {
  const number = index();
  const began = Date.now();
  const deadline = began + patienceMs(config);
  await sleep(turnMs(config, number));
  const inbox = new Inbox([workspaceOf(run)]);
  const who = { id: `pydio-${run}-u${number}`, claims: { workspaces: [workspaceOf(run)] }, deadline };
  const events = new Events(config, who, number, read, (data, { helloAt }) => inbox.count(data, helloAt));
  if (await events.start()) {
    usersConnected.add(1);
  }
  const cutting = cuts(events, config, began + rampMs(config) + config.duration * 0.9);
  if (await inbox.end(deadline)) {
    usersComplete.add(1);
  }
  events.stop();
  await cutting;
}

export async function publisher({ run }) {
  const Uuid = `pydio-${run}-moved`;
  const path = (number) => `${folderOf(run)}/moved${number}`;
  await paced(0, workspaceOf(run), config.rate, config.duration, (data) => {
    const Source = { Uuid, Path: path(data.n - 1), Type: "LEAF" };
    const Target = { Uuid, Path: path(data.n), Type: "LEAF", MetaStore: { load: JSON.stringify(data) } };
    const payload = { Type: "UPDATE_PATH", Source, Target };
    return publish(config, data.n, { topic: "tree", payload, id: `${Uuid}-${data.n}` }, "pydio/events");
  });
}

export const handleSummary = (data) => summary(config, data);
