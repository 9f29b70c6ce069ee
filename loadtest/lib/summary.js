// The end of a run: what was measured and what each threshold says, as text, and as
// JSON in the file that `-e SUMMARY=` names.

const ORDER = ["count", "rate", "avg", "min", "med", "p(90)", "p(95)", "p(99)", "max", "value"];

function short(number) {
  return Math.abs(number) >= 100 || Number.isInteger(number) ? String(Math.round(number)) : number.toPrecision(3);
}

function line(name, metric) {
  const values = ORDER.filter((key) => metric.values[key] !== undefined && !(metric.type === "counter" && key === "rate"))
    .map((key) => `${key}=${short(metric.values[key])}`);
  return `  ${name.padEnd(24)} ${values.join(" ")}`;
}

/** For a script's `handleSummary`; `says` is one line about what it found. */
export function summary(config, data, says) {
  const own = Object.keys(data.metrics).sort();
  const text = own.filter((name) => !/^(http_|iteration|ws_|vus|data_)/.test(name)).map((name) => line(name, data.metrics[name]));
  const failed = [];
  for (const name of own) {
    const found = data.metrics[name].thresholds || {};
    for (const rule of Object.keys(found)) {
      if (!found[rule].ok) {
        failed.push(`${name} ${rule}`);
      }
    }
  }
  text.push(...failed.map((rule) => `  FAILED ${rule}`));
  if (says) {
    text.push(`  ${says}`);
  }
  text.push(failed.length === 0 ? "thresholds: passed" : `thresholds: ${failed.length} failed`);
  const out = { stdout: `${text.join("\n")}\n` };
  if (config.summary !== "") {
    const seconds = data.state.testRunDurationMs / 1000;
    out[config.summary] = JSON.stringify({ seconds, metrics: data.metrics, failed, says: says || "" }, null, 1);
  }
  return out;
}
