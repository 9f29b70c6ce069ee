// Tells Node where `k6/…` is, and that the scripts are modules.
const MODULES = new URL("./modules/", import.meta.url);

export async function resolve(specifier, context, next) {
  if (specifier.startsWith("k6/")) {
    return { url: new URL(`${specifier.slice(3)}.mjs`, MODULES).href, shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  const ours = url.startsWith("file:") && url.endsWith(".js") && !url.includes("/node_modules/");
  return next(url, ours ? { ...context, format: "module" } : context);
}
