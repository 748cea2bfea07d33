import assert from "node:assert/strict";
import { test } from "node:test";

import { ConfigError, ContractError, reward } from "../reward.js";

const prompt = [{ role: "user", content: "2 + 2?" }];

function scored(results, declaration = {}) {
  const plugin = reward({ name: "t", parts: ["valid"], ...declaration }, () => results);
  return plugin.score({ prompt, completions: Array(Math.max(1, results?.length ?? 1)).fill("x") });
}

test("a function gets the task, and defaults where the configuration says nothing", () => {
  const seen = [];
  const config = { type: "object", properties: { low: { default: [1] }, high: {} } };
  const plugin = reward({ name: "looks", config }, (task) => {
    seen.push(structuredClone(task));
    task.config.low?.push(2);
    return task.completions.map(() => 1);
  });
  const task = { prompt, completions: ["4"], reference: "4", labels: { a: "b" }, metadata: { line: 3 } };
  assert.deepEqual(plugin.score(task), [{ outcome: "scored", reward: 1, parts: {} }]);
  plugin.score({ prompt, completions: ["4"], config: { high: 2 } });
  assert.deepEqual(seen[0], { ...task, config: { low: [1] } });
  assert.deepEqual(seen[1].config, { low: [1], high: 2 });
  assert.throws(() => plugin.score({ ...task, config: [] }), ConfigError);
});

test("numbers, booleans, null and objects become verdicts", () => {
  const half = { reward: 0.5, parts: { valid: true }, reason: "half" };
  assert.deepEqual(scored([1, true, null, half, { reward: null, reason: "why" }]), [
    { outcome: "scored", reward: 1, parts: {} },
    { outcome: "scored", reward: 1, parts: {} },
    { outcome: "abstained", reason: "the function returned null" },
    { outcome: "scored", reward: 0.5, parts: { valid: 1 }, reason: "half" },
    { outcome: "abstained", reason: "why" },
  ]);
});

test("long reasons are cut at a character", () => {
  const [{ reason }] = scored([{ reward: 1, reason: "😀".repeat(200) }]);
  assert.equal(Buffer.byteLength(reason), 511);
  assert.ok(reason.endsWith("😀…"));
});

test("what breaks the contract is refused with its place", () => {
  const wrong = [
    [[], /0 results for 1/],
    [1, /returned a number: return an array of 1/],
    [Promise.resolve([1]), /async/],
    [[Number.NaN], /result 0 is NaN: return null/],
    [[0.5, 2], /result 1 is 2, outside the declared range 0 to 1/],
    [["1"], /result 0 is a string/],
    [[undefined], /result 0 is undefined/],
    [[{ rewards: 1 }], /the keys rewards/],
    [[{ reward: 1, parts: { other: 1 } }], /"other", which is not declared/],
    [[{ reward: 1, parts: { valid: 7 } }], /part valid is 7/],
  ];
  for (const [results, message] of wrong) {
    assert.throws(() => scored(results), (error) => error instanceof ContractError && message.test(error.message));
  }
});

test("declarations are checked where they are written", () => {
  const wrong = [
    [{ name: "Füll" }, /lower-case/],
    [{ version: "1" }, /MAJOR.MINOR.PATCH/],
    [{ min: 2 }, /min below max/],
    [{ parts: ["a", "a"] }, /each name once/],
    [{ config: { type: "array" } }, /must be "object"/],
  ];
  for (const [declaration, message] of wrong) {
    assert.throws(() => reward({ name: "t", ...declaration }, () => []), message);
  }
  assert.throws(() => reward({ name: "t" }), /second argument/);
});
