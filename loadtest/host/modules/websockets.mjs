// k6/websockets, on npm's ws, which tests/e2e pins.
import { createRequire } from "node:module";

const Base = createRequire(new URL("../../../tests/e2e/package.json", import.meta.url))("ws");

export class WebSocket extends Base {
  constructor(url, protocols, { headers = {} } = {}) {
    super(url, protocols ?? [], { headers, perMessageDeflate: false });
    // ws throws when nobody listens; k6 does not.
    this.on("error", () => {});
  }
}
