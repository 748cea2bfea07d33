import { outline } from "./markdown.js";
import { ConfigError, reward } from "./vendor/reward.js";

const config = {
  type: "object",
  properties: {
    headings: {
      type: "array",
      items: { type: "string", minLength: 1 },
      default: [],
      description: "Titles that the answer must have, in this order",
    },
    level_max: { type: "integer", minimum: 1, maximum: 6, default: 6, description: "The deepest level of a heading" },
    items_min: { type: "integer", minimum: 0, default: 0, description: "The fewest list items" },
    items_max: { type: "integer", minimum: 0, default: 1000, description: "The most list items" },
  },
  additionalProperties: false,
};

const parts = [
  { name: "headings", help: "Share of the wanted headings that are there, in order" },
  { name: "levels", help: "Share of the headings that are not too deep and skip no level" },
  { name: "items", help: "1 with as many list items as wanted, less the further off" },
  { name: "fences", help: "1 where every code fence is closed" },
];

const declaration = {
  name: "markdown",
  version: "0.1.0",
  help: "Structure of a Markdown answer: headings, list items, code fences",
  parts,
  config,
};

export default reward(declaration, ({ completions, config }) => {
  if (config.items_min > config.items_max) {
    throw new ConfigError(`items_min ${config.items_min} is above items_max ${config.items_max}`);
  }
  return completions.map((text) => judge(text, config));
});

function judge(text, config) {
  if (text.trim() === "") return { reward: 0, reason: "empty" };
  const { headings, items, openFence } = outline(text);
  const missing = missingHeadings(headings, config.headings);
  const wanted = config.headings.length;
  const scores = {
    headings: wanted === 0 ? 1 : 1 - missing.length / wanted,
    levels: levels(headings, config.level_max),
    items: inBand(items, config.items_min, config.items_max),
    fences: openFence ? 0 : 1,
  };
  const values = Object.values(scores);
  const reasons = [
    missing.length > 0 && `no heading ${missing.join(", ")}`,
    scores.levels < 1 && "heading levels",
    scores.items < 1 && `${items} list items`,
    openFence && "a code fence is open",
  ].filter(Boolean);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { reward: mean, parts: scores, ...(reasons.length > 0 && { reason: reasons.join("; ") }) };
}

// Each wanted title is looked for after the one before it that was found.
function missingHeadings(headings, titles) {
  let from = 0;
  return titles.filter((title) => {
    const at = headings.findIndex((heading, at) => at >= from && heading.title.toLowerCase() === title.toLowerCase());
    if (at < 0) return true;
    from = at + 1;
    return false;
  });
}

function levels(headings, levelMax) {
  if (headings.length === 0) return 1;
  const good = headings.filter(({ level }, at) => level <= levelMax && (at === 0 || level <= headings[at - 1].level + 1));
  return good.length / headings.length;
}

function inBand(count, min, max) {
  if (count < min) return count / min;
  return count > max ? Math.max(max, 1) / count : 1;
}
