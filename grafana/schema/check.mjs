// Type-checks every dashboard: node check.mjs FOLDER FILE.json…, where FOLDER has the packages.
//
// JSON is put into a module as a literal, so that the compiler also refuses keys that
// Grafana does not know.

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [folder, ...files] = process.argv.slice(2).map((name) => resolve(name));
if (!folder || files.length === 0) {
  console.error("usage: node check.mjs FOLDER FILE.json…");
  process.exit(2);
}
const ts = createRequire(join(folder, "package.json"))("typescript");
const here = dirname(fileURLToPath(import.meta.url));
copyFileSync(join(here, "dashboard.ts"), join(folder, "dashboard.ts"));

/** The compiler's complaints about texts that should be dashboards, by their names. */
function complaints(texts) {
  const paths = texts.map(([name, text]) => {
    const path = join(folder, `${name}.ts`);
    writeFileSync(path, `import type { Dashboard } from "./dashboard";\nexport const page: Dashboard = ${text.trim()};\n`);
    return path;
  });
  const program = ts.createProgram(paths, {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
  });
  return ts.getPreEmitDiagnostics(program).map((found) => {
    const at = found.file && found.start !== undefined ? found.file.getLineAndCharacterOfPosition(found.start) : null;
    // The literal begins in the second line of the module.
    return {
      name: found.file ? basename(found.file.fileName, ".ts") : "",
      text: `line ${at?.line ?? 0}: ${ts.flattenDiagnosticMessageText(found.messageText, "\n")}`,
    };
  });
}

/** A dashboard that is wrong in one place must be refused, else this check proves nothing. */
function mutants(page) {
  const change = (edit) => {
    const copy = structuredClone(page);
    edit(copy, copy.panels.find((panel) => panel.type === "timeseries"));
    return JSON.stringify(copy);
  };
  return {
    "an unknown key of the page": change((copy) => (copy.colour = "red")),
    "an unknown key of a panel": change((_, panel) => (panel.helptext = "x")),
    "an unknown kind of panel": change((_, panel) => (panel.type = "graph")),
    "a text as a minimum": change((_, panel) => (panel.fieldConfig.defaults.min = "0")),
    "an unknown style": change((_, panel) => (panel.fieldConfig.defaults.custom.drawStyle = "wavy")),
    "a query without an expression": change((_, panel) => delete panel.targets[0].expr),
    "an unknown option": change((_, panel) => (panel.options.legend.side = "left")),
  };
}

const pages = files.map((file) => [basename(file, ".json"), readFileSync(file, "utf8")]);
const wrong = Object.entries(mutants(JSON.parse(pages[0][1]))).map(([what, text], at) => [`mutant${at}`, text, what]);
const all = complaints([...pages, ...wrong]);
const found = all.filter(({ name }) => !name.startsWith("mutant")).map(({ name, text }) => `${name}: ${text}`);
for (const [name, , what] of wrong) {
  if (!all.some((complaint) => complaint.name === name)) found.push(`the check does not notice ${what}`);
}
for (const complaint of found) console.error(`error: ${complaint}`);
console.log(`schema: ${files.length} dashboards and ${wrong.length} mutants checked, ${found.length} complaints`);
process.exit(found.length === 0 ? 0 : 1);
