import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import plugin, { f1, words } from "./plugin.js";
import { check } from "./vendor/cases.js";

test("cases", () => {
  assert.ok(check(plugin, fileURLToPath(new URL("cases", import.meta.url))) > 0);
});

test("words count as often as both have them", () => {
  assert.equal(f1(["a", "a"], ["a", "b"]), 0.5);
  assert.equal(f1([], []), 0);
  assert.deepEqual(words("Grüße, 2 Leute!"), ["grüße", "2", "leute"]);
});
