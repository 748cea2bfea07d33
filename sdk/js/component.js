/** What is built: the plugin as a component of the interface `perennial:reward`. `perennial plugin build` says what `perennial:plugin` is. */

import { emit } from "perennial:reward/log@0.1.0";
import plugin from "perennial:plugin";
import { ConfigError } from "./lib/errors.js";

if (typeof plugin?.score !== "function" || !plugin.declaration) {
  throw new TypeError("the plugin's default export must be what reward(...) returns");
}

const LEVELS = { debug: "debug", log: "info", info: "info", warn: "warn", error: "warn" };
for (const [method, level] of Object.entries(LEVELS)) {
  console[method] = (...values) => emit(level, values.map(text).join(" "));
}

export function describe() {
  const { name, version, help, min, max, parts, schema } = plugin.declaration;
  return { name, version, help, min, max, parts, configSchema: JSON.stringify(schema) };
}

export function score(config, { prompt, reference, labels, metadataJson, samples }) {
  try {
    const verdicts = plugin.score({
      prompt,
      completions: samples.map((sample) => sample.completion),
      reference,
      labels: Object.fromEntries(labels),
      metadata: JSON.parse(metadataJson),
      config: JSON.parse(config),
    });
    return verdicts.map(variant);
  } catch (error) {
    // What is thrown with a tag and a value is the error of the interface; anything else would trap without a word.
    if (error instanceof ConfigError) throw { tag: "bad-config", val: error.message };
    throw { tag: "internal", val: explained(error) };
  }
}

function variant({ outcome, reward, parts, reason }) {
  if (outcome === "abstained") return { tag: "abstain", val: reason };
  return { tag: "scored", val: { reward, parts: Object.entries(parts).map(([name, value]) => ({ name, value })), reason } };
}

function explained(error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : text(error);
}

function text(value) {
  if (typeof value === "string") return value;
  return value instanceof Error ? explained(value) : (JSON.stringify(value) ?? String(value));
}
