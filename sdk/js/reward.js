/** Reward plugins for Perennial. The types and their documentation are in `reward.d.ts`. */

import { checkDeclaration } from "./lib/declaration.js";
import { ConfigError } from "./lib/errors.js";
import { verdicts } from "./lib/verdict.js";

export { ConfigError, ContractError } from "./lib/errors.js";

const SCHEMA_OF_NOTHING = { type: "object", properties: {}, additionalProperties: false };

export function reward(declared, judge) {
  const { config: schema = SCHEMA_OF_NOTHING, ...rest } = declared;
  const declaration = { version: "0.1.0", help: "", min: 0, max: 1, ...rest, parts: parts(rest.parts), schema };
  checkDeclaration(declaration);
  if (typeof judge !== "function") throw new TypeError(`${declaration.name}: the second argument is the function`);
  return { declaration, score: (task) => score(declaration, judge, task) };
}

function score(declaration, judge, task) {
  const { prompt, completions, reference, labels = {}, metadata = {}, config = {} } = task;
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new ConfigError(`the configuration is ${JSON.stringify(config)}: an object is needed`);
  }
  const settings = { ...defaults(declaration.schema), ...config };
  const returned = judge({ prompt, completions, reference, labels, metadata, config: settings });
  return verdicts(returned, completions.length, declaration);
}

function parts(declared = []) {
  return declared.map((part) => ({ min: 0, max: 1, help: "", ...(typeof part === "string" ? { name: part } : part) }));
}

function defaults({ properties = {} }) {
  const given = Object.entries(properties).filter(([, schema]) => schema?.default !== undefined);
  return Object.fromEntries(given.map(([name, schema]) => [name, structuredCopy(schema.default)]));
}

// What a function does to its defaults must not be seen by the next call in the same process.
function structuredCopy(value) {
  return JSON.parse(JSON.stringify(value));
}
