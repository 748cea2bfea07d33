/**
 * Builds a plugin: `node build.js PLUGIN COMPONENT_JS WIT OUT`. Bundling first makes TypeScript and npm packages work; with every feature
 * of the engine that needs WASI turned off, the component imports nothing but the plugin's log.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { componentize } from "@bytecodealliance/componentize-js";
import { rolldown } from "rolldown";

const [plugin, entry, witPath, out] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), "perennial-plugin-"));
try {
  const bundle = await rolldown({
    input: entry,
    external: /^perennial:reward\//,
    resolve: { alias: { "perennial:plugin": plugin } },
    platform: "neutral",
  });
  const sourcePath = join(folder, "plugin.js");
  await bundle.write({ file: sourcePath, format: "esm" });
  const disableFeatures = ["random", "stdio", "clocks", "http", "fetch-event"];
  const { component } = await componentize({ sourcePath, witPath, worldName: "reward", disableFeatures });
  await writeFile(out, component);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
