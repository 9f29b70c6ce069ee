// What a person wrote and the server has not confirmed yet.
//
// Invariants: one message is under way at a time, so the order is kept and an
// error belongs to it; a message keeps its id over every retry, so a retry is
// never a second message; nothing leaves the outbox unless it was confirmed,
// refused or discarded by the person.

const LIMIT = 100;
const CONFIRM_WITHIN_MS = 10_000;
const PAUSE_MS = 60;
const MOST_SILENCES = 3;

/** A new id for a message: it only has to be unlike all others. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, "0")).join("");
}

/**
 * What the page hands in:
 *
 * - `key`: where `sessionStorage` keeps the outbox over a reload.
 * - `transmit(item)`: tries to send; false when there is no way now.
 * - `onChange(items)`: what to show; each item is `{id, text, state, note, …}`, where
 *   `state` is `waiting`, `sending` or `failed`.
 * - `onSilence()`: the message under way was not confirmed in time; the page reconnects,
 *   and after the third time the message counts as refused.
 */
export class Outbox {
  #page;
  #items;
  #current = null;
  #timer = 0;
  #pause = 0;

  constructor(page) {
    this.#page = page;
    this.#items = load(page.key);
    this.#changed();
  }

  get items() {
    return this.#items;
  }

  get isFull() {
    return this.#items.length >= LIMIT;
  }

  /** Takes a message; false when too many wait already. */
  add(text, extra = {}) {
    if (this.isFull) return false;
    this.#items.push({ ...extra, id: newId(), text, state: "waiting", note: "" });
    this.#changed();
    this.flush();
    return true;
  }

  /** There is a way to the server: send what waits. */
  flush() {
    if (this.#current !== null || this.#pause !== 0) return;
    const item = this.#items.find((one) => one.state === "waiting");
    if (item === undefined || !this.#page.transmit(item)) return;
    this.#current = item;
    item.state = "sending";
    this.#timer = setTimeout(() => this.#silent(item), CONFIRM_WITHIN_MS);
    this.#changed();
  }

  #silent(item) {
    item.silences = (item.silences ?? 0) + 1;
    if (item.silences < MOST_SILENCES) this.#page.onSilence();
    else this.refuse("The server did not confirm this message.");
  }

  /** The way is gone: what was under way (or only `id`) has to be sent again, with the same id. */
  interrupted(id = this.#current?.id) {
    if (this.#current === null || this.#current.id !== id) return;
    clearTimeout(this.#timer);
    this.#current.state = "waiting";
    this.#current = null;
    this.#changed();
  }

  /** The server has it. */
  confirm(id) {
    const index = this.#items.findIndex((item) => item.id === id);
    if (index < 0) return;
    const [item] = this.#items.splice(index, 1);
    this.#settled(item);
  }

  /** The server does not want what is under way (or only `id`); false when that is nothing. */
  refuse(note, id = this.#current?.id) {
    const item = this.#current;
    if (item === null || item.id !== id) return false;
    item.state = "failed";
    item.note = note;
    this.#settled(item);
    return true;
  }

  retry(id) {
    const item = this.#items.find((one) => one.id === id);
    if (item === undefined) return;
    item.state = "waiting";
    item.note = "";
    item.silences = 0;
    this.#changed();
    this.flush();
  }

  discard(id) {
    this.#items = this.#items.filter((item) => item.id !== id || item === this.#current);
    this.#changed();
  }

  /** No callback comes afterwards; the stored copy stays. */
  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#pause);
    this.#page = { ...this.#page, transmit: () => false, onChange: () => {}, onSilence: () => {} };
  }

  #settled(item) {
    if (item === this.#current) {
      clearTimeout(this.#timer);
      this.#current = null;
      // A pause keeps a long outbox below the server's limit of commands per second.
      this.#pause = setTimeout(() => {
        this.#pause = 0;
        this.flush();
      }, PAUSE_MS);
    }
    this.#changed();
  }

  #changed() {
    save(this.#page.key, this.#items);
    this.#page.onChange(this.#items);
  }
}

function load(key) {
  try {
    const items = JSON.parse(sessionStorage.getItem(key) ?? "[]");
    return items.map((item) => ({ ...item, state: item.state === "failed" ? "failed" : "waiting" }));
  } catch {
    return [];
  }
}

function save(key, items) {
  try {
    if (items.length === 0) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(items));
  } catch {
    // Without storage the outbox still lives as long as the page.
  }
}
