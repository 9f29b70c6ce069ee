// Counters, rates, trends, and the thresholds on them, with the sums of their tags
// that a threshold names (`delay_ms{step:3}`).

const SUBMETRIC = /^([a-z0-9_]+)(?:\{(.*)\})?$/i;
const RULE = /^\s*(p\(([\d.]+)\)|[a-z]+)\s*(<=|>=|===?|!=|<|>)\s*(-?[\d.]+)\s*$/;
const COMPARE = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "==": (a, b) => a === b, "===": (a, b) => a === b, "!=": (a, b) => a !== b,
};
const DEFAULT_STATS = ["avg", "min", "med", "max", "p(90)", "p(95)"];

class Sink {
  constructor(type) {
    Object.assign(this, { type, sum: 0, count: 0, samples: [], sorted: true, began: Date.now() });
  }

  add(value) {
    this.sum += Number(value);
    this.count += 1;
    if (this.type === "trend") {
      this.samples.push(Number(value));
      this.sorted = false;
    }
  }

  percentile(part) {
    if (!this.sorted) {
      this.samples.sort((a, b) => a - b);
      this.sorted = true;
    }
    if (this.samples.length === 0) return 0;
    const place = part * (this.samples.length - 1);
    const low = Math.floor(place);
    const high = Math.min(low + 1, this.samples.length - 1);
    return this.samples[low] + (this.samples[high] - this.samples[low]) * (place - low);
  }

  value(name) {
    if (this.type === "counter") return name === "rate" ? this.sum / ((Date.now() - this.began) / 1000) : this.sum;
    if (this.type === "rate") return this.count === 0 ? 0 : this.sum / this.count;
    const part = name.match(/^p\((.+)\)$/);
    if (part) return this.percentile(Number(part[1]) / 100);
    return {
      avg: this.count === 0 ? 0 : this.sum / this.count, min: this.percentile(0), med: this.percentile(0.5),
      max: this.percentile(1), count: this.count,
    }[name];
  }

  values(stats) {
    const names = { counter: ["count", "rate"], rate: ["rate"], trend: stats }[this.type];
    const found = Object.fromEntries(names.map((name) => [name, this.value(name)]));
    if (this.type === "rate") Object.assign(found, { passes: this.sum, fails: this.count - this.sum });
    return found;
  }
}

class Registry {
  constructor() {
    this.metrics = new Map();
  }

  make(name, type) {
    if (!this.metrics.has(name)) this.metrics.set(name, { type, all: new Sink(type), byTag: new Map() });
    return this.metrics.get(name);
  }

  /** The sink of `name` or `name{tag:value}`; undefined when nothing was ever made. */
  sink(name) {
    const [, metric, tag] = name.match(SUBMETRIC) ?? [];
    const found = this.metrics.get(metric);
    if (found === undefined || tag === undefined) return found?.all;
    if (!found.byTag.has(tag)) found.byTag.set(tag, new Sink(found.type));
    return found.byTag.get(tag);
  }

  report(thresholds, stats = DEFAULT_STATS) {
    const out = {};
    const names = new Set([...this.metrics.keys(), ...Object.keys(thresholds)]);
    for (const name of names) {
      const sink = this.sink(name);
      if (sink === undefined) continue;
      out[name] = { type: sink.type, contains: "default", values: sink.values(stats) };
      if (thresholds[name]) {
        out[name].thresholds = Object.fromEntries(thresholds[name].map((rule) => [text(rule), { ok: holds(sink, rule) }]));
      }
    }
    return out;
  }
}

export const registry = new Registry();

const text = (rule) => (typeof rule === "string" ? rule : rule.threshold);

function holds(sink, rule) {
  const [, name, , operator, bound] = text(rule).match(RULE) ?? [];
  if (name === undefined) throw new Error(`threshold ${text(rule)} is not understood`);
  return COMPARE[operator](sink.value(name), Number(bound));
}

/** The thresholds that fail; with `aborting` only those that end a run, once they have samples. */
export function judge(thresholds, aborting) {
  const failed = [];
  for (const [name, rules] of Object.entries(thresholds)) {
    const sink = registry.sink(name);
    if (sink === undefined) throw new Error(`a threshold is on ${name}, which is no metric`);
    for (const rule of rules) {
      if (aborting && (!rule.abortOnFail || sink.count === 0)) continue;
      if (!holds(sink, rule)) failed.push(`${name} ${text(rule)}`);
    }
  }
  return failed;
}

/** What the classes of `k6/metrics` do. */
export function metric(type) {
  return class {
    constructor(name) {
      this.metric = registry.make(name, type);
    }

    add(value, tags = {}) {
      this.metric.all.add(value);
      for (const [tag, found] of Object.entries(tags)) {
        this.metric.byTag.get(`${tag}:${found}`)?.add(value);
      }
    }
  };
}
