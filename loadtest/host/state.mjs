// Which user of which scenario runs: carried along with its promises and timers.
import { AsyncLocalStorage } from "node:async_hooks";

const storage = new AsyncLocalStorage();

export const asScenario = (state, body) => storage.run(state, async () => body());
export const current = () => storage.getStore() ?? { name: "", index: 0 };
