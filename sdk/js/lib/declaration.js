const NAME = /^[a-z0-9][a-z0-9_-]*$/;
const VERSION = /^\d+\.\d+\.\d+$/;

/** Refuses a declaration that the host would refuse, where it is written. */
export function checkDeclaration({ name, version, min, max, parts, schema }) {
  checkName("plugin", name);
  checkRange(`plugin ${name}`, min, max);
  if (!VERSION.test(version)) throw new TypeError(`version ${JSON.stringify(version)}: write MAJOR.MINOR.PATCH`);
  for (const part of parts) {
    checkName("part", part.name);
    checkRange(`part ${part.name}`, part.min, part.max);
  }
  const names = parts.map((part) => part.name);
  if (new Set(names).size < names.length) throw new TypeError(`parts ${names.join(", ")}: each name once`);
  if (schema?.type !== "object") throw new TypeError('config: the schema\'s type must be "object"');
}

function checkName(what, name) {
  if (typeof name === "string" && NAME.test(name)) return;
  throw new TypeError(`${what} ${JSON.stringify(name)}: use lower-case letters, digits, - and _`);
}

function checkRange(what, min, max) {
  if (Number.isFinite(min) && Number.isFinite(max) && min < max) return;
  throw new RangeError(`${what}: min ${min} and max ${max} must be finite, and min below max`);
}
