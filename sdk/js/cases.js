/** Cases: what a plugin must say of which completion, in JSON files that `perennial plugin test` reads too. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const TOLERANCE_DEFAULT = 1e-9;
const EXPECTED = ["outcome", "reward", "tolerance", "parts", "reason_contains"];

export function check(plugin, folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json")).sort();
  if (files.length === 0) throw new Error(`${folder} holds no cases: *.json`);
  let count = 0;
  const differences = files.flatMap((file) => {
    const cases = JSON.parse(readFileSync(join(folder, file), "utf8"));
    const given = judged(plugin, cases);
    count += given.length;
    return given.flatMap((verdict, at) => {
      const found = differing(cases.completions[at].expect, verdict);
      return found.map((what) => `${file}, completion ${at}: ${what}`);
    });
  });
  if (differences.length > 0) throw new Error(differences.join("\n"));
  return count;
}

function judged(plugin, { prompt, completions, reference, labels, metadata, config }) {
  const messages = typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
  const texts = completions.map(({ text }) => text);
  try {
    return plugin.score({ prompt: messages, completions: texts, reference, labels, metadata, config });
  } catch (error) {
    // In the sandbox, this is the fault of every completion.
    return texts.map(() => ({ outcome: "faulted", reason: `${error?.name}: ${error?.message}` }));
  }
}

function differing(expected, { outcome, reward, parts, reason = "" }) {
  const { outcome: wanted = "scored", tolerance = TOLERANCE_DEFAULT, reason_contains: needle = "" } = expected;
  const unknown = Object.keys(expected).filter((key) => !EXPECTED.includes(key));
  const differences = unknown.map((key) => `nothing can be expected of ${key}`);
  if (outcome !== wanted) differences.push(`it ${outcome}${reason && ` (${reason})`}, and ${wanted} is expected`);
  if (!reason.includes(needle)) differences.push(`the reason "${reason}" does not contain "${needle}"`);
  if (outcome !== "scored") return differences;
  if ("reward" in expected && Math.abs(reward - expected.reward) > tolerance) {
    differences.push(`the reward is ${reward}, and ${expected.reward} is expected`);
  }
  for (const [name, value] of Object.entries(expected.parts ?? {})) {
    if (!(Math.abs(parts[name] - value) <= tolerance)) {
      differences.push(`the part ${name} is ${parts[name]}, and ${value} is expected`);
    }
  }
  return differences;
}
