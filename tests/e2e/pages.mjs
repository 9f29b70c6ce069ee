// Both pages in Chromium: two people chat, see each other's typing and status,
// lose their connections, survive a restart of the server. A violation of the
// page's policy or an error on its console fails the run.
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
const profile = await mkdtemp(path.join(os.tmpdir(), "hubbub-pages-"));
const server = await Server.start({ own: true });
const proxy = await CuttingProxy.start(server.publicPort);
const home = `http://127.0.0.1:${proxy.port}`;
const homes = [home];

// One profile for all: two users in one browser must not disturb each other.
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
    const url = request.url();
    if (!homes.some((one) => url.startsWith(one)) && !url.startsWith("data:")) complaints.push(`foreign request: ${url}`);
  });
});

const shot = (page, name) => page.screenshot({ path: path.join(OUT, `${name}.png`) });
const log = (page) => page.getByRole("log");
const texts = (page) => page.locator("#messages .text").allTextContents();
const shows = (page, text, count = 1) =>
  until(`"${text}" ${count} time(s) on ${page.url()}`, async () => (await texts(page)).filter((one) => one === text).length === count, 40_000);
const say = async (page, text) => {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
};
const connected = (page) =>
  until("Connected", async () => (await page.locator("#state").textContent()) === "Connected", 45_000);
const noOverflow = async (page) => {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(content <= window, `the page is ${content} wide in a window of ${window}`);
};

async function enterRoom(name, room, base = home) {
  const page = await browser.newPage();
  await page.goto(`${base}/`);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Room", { exact: true }).fill(room);
  await page.getByRole("button", { name: "Join" }).click();
  await connected(page);
  return page;
}

async function enterDemo(user, base = home) {
  const page = await browser.newPage();
  await page.goto(`${base}/demo/`);
  await page.getByRole("button", { name: user }).click();
  await connected(page);
  return page;
}

/** A lost connection, and what happens meanwhile; complaints about the loss itself are fine. */
async function losing(body) {
  mayLose = true;
  try { await body(); } finally { mayLose = false; }
}

const status = (page, user) => page.locator(`#people [data-user="${user}"]`).getAttribute("data-status");
const statusIs = (page, user, wanted, within) =>
  until(`${user} is ${wanted}`, async () => (await status(page, user)) === wanted, within);

let ann, ben, alice, bob;

await test("the pages are served with a strict policy", async () => {
  for (const route of ["/", "/demo/"]) {
    const answer = await fetch(server.publicUrl + route);
    same(answer.status, 200, route);
    const policy = answer.headers.get("content-security-policy");
    check(policy?.startsWith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"), `policy: ${policy}`);
    check(!policy.includes("unsafe"), `policy: ${policy}`);
  }
});

await test("room: keyboard alone is enough to join and to speak", async () => {
  ann = await browser.newPage();
  await ann.goto(`${home}/`);
  await ann.evaluate(() => document.getElementById("name").focus());
  await shot(ann, "room-join-desktop");
  await ann.keyboard.type("ann");
  await ann.keyboard.press("Tab");
  await ann.keyboard.press("ControlOrMeta+a");
  await ann.keyboard.type("garden");
  await ann.keyboard.press("Enter");
  await connected(ann);
  await ann.keyboard.type("Hello from the keyboard");
  await ann.keyboard.press("Enter");
  await shows(ann, "Hello from the keyboard");
  same(new URL(ann.url()).hash, "#room=garden", "hash");
});

await test("room: two people see each other, the newcomer sees the history", async () => {
  ben = await enterRoom("ben", "garden");
  await shows(ben, "Hello from the keyboard");
  await say(ben, "Hi! I read that in the history.");
  await shows(ann, "Hi! I read that in the history.");
  await shows(ben, "Hi! I read that in the history.");
  await log(ann).getByText("~ben").first().waitFor();
  await say(ann, "two\nlines");
  await shows(ben, "two\nlines");
});

await test("room: markup stays text", async () => {
  const text = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>";
  await say(ann, text);
  await shows(ben, text);
  same(await ben.locator("#messages img, #messages b b").count(), 0, "elements made of text");
  check((await ben.title()) !== "owned", "a script ran");
});

await test("room: other rooms hear nothing", async () => {
  const other = await enterRoom("cat", "cellar");
  await say(ann, "only in the garden");
  await shows(ben, "only in the garden");
  same(await texts(other), [], "messages in the cellar");
  await other.close();
});

await test("room: a too long message is kept in the field and explained", async () => {
  const field = ann.getByLabel("Message", { exact: true });
  await field.fill("ü".repeat(300));
  await ann.getByRole("button", { name: "Send" }).click();
  check((await ann.locator("#count").textContent()).includes("too long"), "no explanation");
  same((await field.inputValue()).length, 300, "text in the field");
  await field.fill("");
});

await test("room: the log follows only a reader who is at its end", async () => {
  for (let number = 1; number <= 24; number += 1) await say(ben, `line ${number}`);
  await shows(ann, "line 24");
  const place = () => ann.locator("#scroller").evaluate((box) => [box.scrollTop, box.scrollHeight - box.scrollTop - box.clientHeight]);
  check((await place())[1] < 2, "not at the end after reading along");
  await ann.locator("#scroller").evaluate((box) => { box.scrollTop = 0; });
  await say(ben, "you are not at the end");
  await ann.getByRole("button", { name: "1 new message" }).waitFor();
  same((await place())[0], 0, "moved away from the reader");
  await ann.getByRole("button", { name: "1 new message" }).click();
  check((await place())[1] < 2, "the button did not go to the end");
});

await test("room: a cut connection resumes, nothing lost or doubled", () => losing(async () => {
  for (let round = 1; round <= 3; round += 1) {
    check(proxy.cut() > 0, "nothing to cut");
    await server.publish({ to: { room: "garden" }, event: "message", data: { text: `while cut ${round}` } });
    await shows(ann, `while cut ${round}`);
    await shows(ben, `while cut ${round}`);
    await connected(ann);
    same(await ann.locator("#state").getAttribute("data-resumed"), "true", "resumed");
    await until("calm", () => proxy.open >= 2);
  }
  same(await ann.locator("#messages .note").count(), 0, "notes about missing messages");
}));

await test("room: what is written while the server is away arrives once after its restart", () => losing(async () => {
  await server.stop("SIGKILL");
  await until("the page says so", async () => (await ann.locator("#state").textContent()).startsWith("Reconnecting"));
  await say(ann, "written in the dark");
  await say(ann, "and another one");
  await ann.locator("#outbox li").nth(1).waitFor();
  await shot(ann, "room-offline-desktop");
  await ann.setViewportSize(PHONE);
  await shot(ann, "room-offline-phone");
  await ann.setViewportSize(DESKTOP);
  await server.startAgain();
  for (const page of [ann, ben]) {
    await shows(page, "written in the dark");
    await shows(page, "and another one");
  }
  same(await ann.locator("#outbox li").count(), 0, "still unsent");
  await say(ben, "back again");
  await shows(ann, "back again");
  await shows(ben, "back again");
  const order = (await texts(ben)).slice(-3);
  same(order, ["written in the dark", "and another one", "back again"], "order");
}));

await test("room: a reload comes back to the room by itself", async () => {
  await ben.reload();
  await connected(ben);
  same(await ben.locator("#who").textContent(), "~ben", "who ben is after somebody else joined in another tab");
  await shows(ben, "back again");
});

await test("room: fits a phone", async () => {
  await ann.setViewportSize(PHONE);
  await noOverflow(ann);
  await shot(ann, "room-phone");
  await ann.setViewportSize({ width: 320, height: 568 });
  await noOverflow(ann);
  await ann.setViewportSize(DESKTOP);
  await ann.emulateMedia({ colorScheme: "dark" });
  await shot(ann, "room-dark-desktop");
  await ann.emulateMedia({ colorScheme: "light" });
  await shot(ann, "room-desktop");
  await ann.getByRole("button", { name: "Leave" }).click();
  await ann.setViewportSize(PHONE);
  await noOverflow(ann);
  await shot(ann, "room-join-phone");
});

await test("demo: two users in one browser see each other's messages", async () => {
  const gate = await browser.newPage();
  await gate.goto(`${home}/demo/`);
  await gate.getByRole("button", { name: "alice" }).waitFor();
  await shot(gate, "demo-gate-desktop");
  await gate.close();
  alice = await enterDemo("alice");
  bob = await enterDemo("bob");
  await say(alice, "Good morning, bob.");
  await shows(bob, "Good morning, bob.");
  await shows(alice, "Good morning, bob.");
  await say(bob, "Morning!\n<i>still text</i>");
  await shows(alice, "Morning!\n<i>still text</i>");
});

await test("demo: typing is shown and ends", async () => {
  await bob.getByLabel("Message", { exact: true }).pressSequentially("I am thin");
  await alice.getByText("bob is typing…").waitFor();
  await shot(alice, "demo-typing-desktop");
  await bob.getByLabel("Message", { exact: true }).fill("I am thinking.");
  await bob.getByRole("button", { name: "Send" }).click();
  await shows(alice, "I am thinking.");
  await until("no typing", async () => (await alice.locator("#typing").textContent()) === "");
});

await test("demo: status dots follow the other user", async () => {
  await statusIs(alice, "bob", "online");
  await statusIs(bob, "alice", "online");
  await bob.getByRole("button", { name: "Busy" }).click();
  await statusIs(alice, "bob", "dnd");
  await statusIs(bob, "bob", "dnd");
  await bob.getByRole("button", { name: "Away" }).click();
  await statusIs(alice, "bob", "away");
  await shot(alice, "demo-away-desktop");
  await bob.getByRole("button", { name: "Online" }).click();
  await statusIs(alice, "bob", "online");
});

await test("demo: channels are apart, unread ones are counted", async () => {
  await alice.getByRole("button", { name: "# random" }).click();
  await say(bob, "for the square");
  await alice.getByRole("button", { name: /# town-square.*1/ }).waitFor();
  check(!(await texts(alice)).includes("for the square"), "shown in the wrong channel");
  await alice.getByRole("button", { name: /# town-square/ }).click();
  await shows(alice, "for the square");
});

await test("demo: a cut connection resumes as the same connection", () => losing(async () => {
  for (let round = 1; round <= 3; round += 1) {
    const ids = await Promise.all([alice, bob].map((page) => page.locator("#fact-id").textContent()));
    check(proxy.cut() > 0, "nothing to cut");
    for (const page of [alice, bob]) {
      await until("Reconnecting or back", async () => (await page.locator("#state").textContent()) !== "Signing in");
    }
    await say(alice, `over the cut ${round}`);
    await shows(alice, `over the cut ${round}`);
    await shows(bob, `over the cut ${round}`);
    await Promise.all([alice, bob].map(connected));
    same(await Promise.all([alice, bob].map((page) => page.locator("#fact-id").textContent())), ids, "connection ids");
    same(await bob.locator("#fact-socket").textContent(), "resumed", "bob's connection");
  }
}));

await test("demo: both go on after a restart of the server", () => losing(async () => {
  await server.stop();
  await until("the page says so", async () => (await bob.locator("#state").textContent()).startsWith("Reconnecting"));
  await say(bob, "written while it was away");
  await server.startAgain();
  // The embedded log is empty after a restart, so only who was back in time sees it: its writer does.
  await shows(bob, "written while it was away");
  same(await bob.locator("#outbox li").count(), 0, "still unsent");
  await Promise.all([alice, bob].map(connected));
  await say(alice, "and on it goes");
  await shows(bob, "and on it goes");
  await statusIs(alice, "bob", "online");
  await statusIs(bob, "alice", "online");
}));

await test("demo: who leaves goes offline", async () => {
  await bob.getByRole("button", { name: "Leave" }).click();
  await bob.getByRole("button", { name: "alice" }).waitFor();
  await statusIs(alice, "bob", "offline", 20_000);
});

await test("demo: a token can be pasted; nonsense is refused", async () => {
  await bob.getByText("Use a token").click();
  await bob.getByLabel("Token (JWT)").fill("nonsense");
  await bob.getByRole("button", { name: "Enter" }).click();
  await bob.getByText("This is not a token.").waitFor();
  await bob.getByLabel("Token (JWT)").fill(server.tokens.bob);
  await bob.getByRole("button", { name: "Enter" }).click();
  await connected(bob);
  await say(bob, "by token");
  await shows(alice, "by token");
});

await test("demo: fits a phone", async () => {
  await shot(alice, "demo-desktop");
  await alice.emulateMedia({ colorScheme: "dark" });
  await shot(alice, "demo-dark-desktop");
  await alice.setViewportSize(PHONE);
  await shot(alice, "demo-dark-phone");
  await alice.emulateMedia({ colorScheme: "light" });
  await noOverflow(alice);
  await shot(alice, "demo-phone");
  await alice.setViewportSize({ width: 320, height: 568 });
  await noOverflow(alice);
});

await test("both pages work below a base path", async () => {
  const below = await Server.start({ own: true, args: ["--set", "public.base_path=/hub/"] });
  const base = `${below.publicUrl.replace(/\/(hub\/?)?$/, "")}/hub`;
  homes.push(base);
  try {
    const room = await enterRoom("ann", "garden", base);
    await say(room, "below a path");
    await shows(room, "below a path");
    const demo = await enterDemo("alice", base);
    await say(demo, "here, too");
    await shows(demo, "here, too");
    await demo.getByRole("button", { name: "Busy" }).click();
    await statusIs(demo, "alice", "dnd");
    await room.goto(`${base}/demo`);
    await room.getByRole("button", { name: "alice" }).waitFor();
    same(new URL(room.url()).pathname, "/hub/demo/", "where /demo leads");
    await room.close();
    await demo.close();
  } finally {
    await below.stop();
  }
});

await test("no page complained", async () => {
  same(complaints, [], "policy violations, console errors, foreign requests");
});

await browser.close();
await rm(profile, { recursive: true, force: true, maxRetries: 5 });
proxy.stop();
await server.stop();
finish();
