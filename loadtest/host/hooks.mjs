// Tells Node where `k6/…` is, that the scripts are modules, and that they are not to
// use what k6 has not.
const MODULES = new URL("./modules/", import.meta.url);
const ABSENT = [
  "process", "Buffer", "URL", "URLSearchParams", "fetch", "performance", "structuredClone", "queueMicrotask",
  "TextEncoder", "TextDecoder", "AbortController", "setImmediate", "require", "global",
];
// In one line before the first, so that errors name the right line.
const HIDE = `const ${ABSENT.map((name) => `${name} = undefined`).join(", ")}; `;

export async function resolve(specifier, context, next) {
  if (specifier.startsWith("k6/")) {
    return { url: new URL(`${specifier.slice(3)}.mjs`, MODULES).href, shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  const ours = url.startsWith("file:") && url.endsWith(".js") && !url.includes("/node_modules/");
  if (!ours) {
    return next(url, context);
  }
  const loaded = await next(url, { ...context, format: "module" });
  return { ...loaded, format: "module", source: HIDE + loaded.source };
}
