// The page of a workspace in Chromium: two people are in one chat room and see what
// happens to the files of their workspace. A violation of the page's policy or an error
// on its console fails the run.
//
// CHROMIUM names the browser (default /usr/bin/chromium); screenshots go to out/.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { CuttingProxy, Server, check, finish, same, test, until } from "./support.mjs";

const OUT = path.join(path.dirname(fileURLToPath(import.meta.url)), "out");
const DESKTOP = { width: 1180, height: 760 };
const PHONE = { width: 390, height: 780 };

await mkdir(OUT, { recursive: true });
const profile = await mkdtemp(path.join(os.tmpdir(), "hubbub-pydio-"));
const server = await Server.start({ own: true });
const proxy = await CuttingProxy.start(server.publicPort);
const home = `http://127.0.0.1:${proxy.port}`;
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  viewport: DESKTOP,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
browser.setDefaultTimeout(15_000);

/** What a page complained about; a lost connection may be complained about when it was wanted. */
const complaints = [];
const NETWORK = /WebSocket connection to .* failed|net::ERR_(CONNECTION|EMPTY|SOCKET|INTERNET)/;
let mayLose = false;
browser.on("page", (page) => {
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    if (mayLose && NETWORK.test(message.text())) return;
    complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(home)) complaints.push(`foreign request: ${request.url()}`);
  });
});

const shot = (page, name) => page.screenshot({ path: path.join(OUT, `${name}.png`) });
const texts = (page) => page.locator("#messages .text").allTextContents();
const shows = (page, wanted) =>
  until(`${JSON.stringify(wanted)} are shown`, async () => JSON.stringify(await texts(page)) === JSON.stringify(wanted));
const here = (page, wanted) =>
  until(`${wanted} are in the room`, async () =>
    JSON.stringify(await page.locator("#people li").evaluateAll((all) => all.map((one) => one.dataset.user).sort())) ===
    JSON.stringify(wanted), 30_000);
const line = (page, text) => page.locator("#messages li").filter({ hasText: text });
const write = async (page, text, button = "Send") => {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: button }).click();
};
const noOverflow = async (page) => {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(content <= window, `the page is ${content} wide in a window of ${window}`);
};

async function call(method, route, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${server.internalUrl}/api/v1/${route}`, { method, headers, body: JSON.stringify(body) });
  same(answer.status, 200, `${route}: ${await answer.clone().text()}`);
}

async function enter(user) {
  const page = await browser.newPage();
  await page.goto(`${home}/demo/pydio/`);
  await page.getByRole("button", { name: user }).click();
  await until("Connected", async () => (await page.locator("#state").textContent()) === "Connected", 45_000);
  return page;
}

let alice, bob;

await test("two users come into the room of their workspace", async () => {
  const gate = await browser.newPage();
  await gate.goto(`${home}/demo/pydio/`);
  await gate.getByRole("button", { name: "alice" }).waitFor();
  await shot(gate, "pydio-gate-desktop");
  await gate.close();
  alice = await enter("alice");
  await here(alice, ["alice"]);
  bob = await enter("bob");
  await here(bob, ["alice", "bob"]);
  await here(alice, ["alice", "bob"]);
});

await test("what is said is seen by both, as it was written", async () => {
  await write(alice, "Hello, bob: 1 < 2 & 3 > 2");
  await shows(bob, ["Hello, bob: 1 < 2 & 3 > 2"]);
  await write(bob, "<b>Hello</b>, alice");
  await shows(alice, ["Hello, bob: 1 < 2 & 3 > 2", "<b>Hello</b>, alice"]);
});

await test("only one's own message can be changed and deleted", async () => {
  same(await line(bob, "Hello, bob").getByRole("button").count(), 0, "buttons on another's message");
  await line(bob, "Hello</b>, alice").getByRole("button", { name: "Edit" }).click();
  same(await bob.getByLabel("Message", { exact: true }).inputValue(), "<b>Hello</b>, alice", "what is edited");
  await write(bob, "Good morning, alice", "Save");
  await shows(alice, ["Hello, bob: 1 < 2 & 3 > 2", "Good morning, alice"]);
  await line(alice, "Hello, bob").getByRole("button", { name: "Delete" }).click();
  await shows(bob, ["Good morning, alice"]);
  await shows(alice, ["Good morning, alice"]);
});

await test("whoever comes later reads the history, page by page", async () => {
  for (let number = 1; number <= 24; number += 1) await write(alice, `line ${number}`);
  await until("all lines came", async () => (await texts(bob)).length === 25);
  await bob.reload();
  await bob.getByRole("button", { name: "bob" }).click();
  const newest = Array.from({ length: 20 }, (_, index) => `line ${index + 5}`);
  await shows(bob, newest);
  await bob.getByRole("button", { name: "Earlier messages" }).click();
  await shows(bob, ["Good morning, alice", ...Array.from({ length: 24 }, (_, index) => `line ${index + 1}`)]);
});

await test("what happens to files is shown as it arrives", async () => {
  const file = { Uuid: "n-1", Path: "common/reports/plan.pdf", Type: "LEAF" };
  await call("POST", "pydio/events", { topic: "tree", payload: { Type: "CREATE", Target: file } });
  const moved = { ...file, Path: "common/reports/final.pdf" };
  await call("POST", "pydio/events", { topic: "tree", payload: { Type: "UPDATE_PATH", Source: file, Target: moved } });
  await call("POST", "pydio/events", { topic: "tree", payload: { Type: "DELETE", Source: moved } });
  for (const page of [alice, bob]) {
    await until("three events", async () => (await page.locator("#events li").count()) === 3, 20_000);
    const shown = await page.locator("#events li").evaluateAll((all) => all.map((one) => one.dataset.type));
    same(shown, ["DELETE", "UPDATE_PATH", "CREATE"], "newest first");
    check((await page.locator("#events code").first().textContent()) === "reports/final.pdf", "a path of the workspace");
  }
});

await test("a lost connection comes back without a gap", async () => {
  mayLose = true;
  proxy.cut();
  await call("PUT", "pydio/workspaces/ws-common", { label: "Common", roots: [{ uuid: "root", path: "common" }], rules: [] });
  for (const page of [alice, bob]) {
    await until("Connected again", async () => (await page.locator("#state").textContent()) === "Connected", 45_000);
  }
  await here(bob, ["alice", "bob"]);
  await write(alice, "back again");
  await until("it is shown", async () => (await texts(bob)).at(-1) === "back again");
  same((await texts(bob)).length, new Set(await texts(bob)).size, "nothing twice");
  mayLose = false;
});

await test("it fits a desk and a phone", async () => {
  await shot(alice, "pydio-desktop");
  await alice.emulateMedia({ colorScheme: "dark" });
  await shot(alice, "pydio-dark-desktop");
  await alice.setViewportSize(PHONE);
  await noOverflow(alice);
  await shot(alice, "pydio-dark-phone");
  await alice.emulateMedia({ colorScheme: "light" });
  await shot(alice, "pydio-phone");
  await alice.setViewportSize({ width: 320, height: 568 });
  await noOverflow(alice);
});

await test("whoever closes the page is gone from the room", async () => {
  await bob.close();
  await here(alice, ["alice"]);
});

await test("no page complained", async () => {
  same(complaints, [], "policy violations, console errors, foreign requests");
});

await browser.close();
await rm(profile, { recursive: true, force: true, maxRetries: 5 });
proxy.stop();
await server.stop();
finish();
