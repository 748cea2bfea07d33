/** The reward function: the default export is what `perennial plugin build` makes a component of. */

import { reward } from "./vendor/reward.js";

const declaration = {
  name: "my-reward",
  version: "0.1.0",
  help: "How many words a short answer shares with the reference",
  parts: [
    { name: "overlap", help: "F1 of the words of answer and reference" },
    { name: "brief", help: "1 where the answer is short enough" },
  ],
  config: {
    type: "object",
    properties: {
      words_max: { type: "integer", minimum: 1, default: 100, description: "The longest answer that earns anything" },
    },
    additionalProperties: false,
  },
};

export default reward(declaration, ({ completions, reference, config }) =>
  completions.map((text) => {
    if (reference === undefined) return { reward: null, reason: "the row has no reference" };
    const given = words(text);
    const overlap = f1(given, words(reference));
    const brief = given.length <= config.words_max;
    const parts = { overlap, brief };
    return brief ? { reward: overlap, parts } : { reward: 0, parts, reason: `${given.length} words` };
  }),
);

// Anything but space and ASCII punctuation: the sandbox's engine knows no \p{...} in regular expressions.
export function words(text) {
  return text.toLowerCase().match(/[^\s!-/:-@[-^`{-~]+/g) ?? [];
}

export function f1(given, expected) {
  const left = [...expected];
  const shared = given.filter((word) => {
    const at = left.indexOf(word);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  }).length;
  return shared === 0 ? 0 : (2 * shared) / (given.length + expected.length);
}
