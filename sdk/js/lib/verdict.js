import { ContractError } from "./errors.js";

const REASON_BYTES_MAX = 512;
const KEYS = ["reward", "parts", "reason"];

/** One verdict for each completion, checked against what the plugin declares. */
export function verdicts(returned, count, declaration) {
  const { name } = declaration;
  if (typeof returned?.then === "function") throw new ContractError(`${name} is async: a plugin has nothing to wait for`);
  if (!Array.isArray(returned)) throw new ContractError(`${name} returned ${kind(returned)}: return an array of ${count}`);
  if (returned.length !== count) {
    throw new ContractError(`${name} returned ${returned.length} results for ${count} completions`);
  }
  return Array.from(returned, (result, at) => verdict(result, `result ${at}`, declaration));
}

function verdict(result, place, declaration) {
  if (result === null) return { outcome: "abstained", reason: "the function returned null" };
  if (typeof result === "object") return structured(result, place, declaration);
  return { outcome: "scored", reward: number(result, place, declaration), parts: {} };
}

function structured(result, place, declaration) {
  const keys = Object.keys(result);
  if (!keys.includes("reward") || keys.some((key) => !KEYS.includes(key))) {
    throw new ContractError(`${place} has the keys ${keys.join(", ")}: reward, and if wanted parts and reason`);
  }
  const { reward, parts: given = {}, reason } = result;
  if (reward === null) return { outcome: "abstained", reason: shortened(reason ?? "the reward is null") };
  const parts = Object.entries(given).map(([name, value]) => {
    const declared = declaration.parts.find((part) => part.name === name);
    if (!declared) throw new ContractError(`${place} has the part ${JSON.stringify(name)}, which is not declared`);
    return [name, number(value, `${place}, part ${name}`, declared)];
  });
  const scored = { outcome: "scored", reward: number(reward, place, declaration), parts: Object.fromEntries(parts) };
  return reason == null ? scored : { ...scored, reason: shortened(reason) };
}

function number(value, place, { min, max }) {
  const given = typeof value === "boolean" ? Number(value) : value;
  if (typeof given !== "number") throw new ContractError(`${place} is ${kind(value)}: a number, or null to abstain`);
  if (!Number.isFinite(given)) throw new ContractError(`${place} is ${given}: return null to abstain`);
  if (given < min || given > max) {
    throw new ContractError(`${place} is ${given}, outside the declared range ${min} to ${max}: min and max of the ${place.includes(", part ") ? "part" : "reward"} declare another`);
  }
  return given;
}

function shortened(reason) {
  const text = String(reason);
  if (bytes(text) <= REASON_BYTES_MAX) return text;
  const ellipsis = "…";
  let kept = "";
  let room = REASON_BYTES_MAX - bytes(ellipsis);
  for (const letter of text) {
    room -= bytes(letter);
    if (room < 0) break;
    kept += letter;
  }
  return kept + ellipsis;
}

function bytes(text) {
  return new TextEncoder().encode(text).length;
}

function kind(value) {
  return value === null || value === undefined ? String(value) : `a ${typeof value}`;
}
