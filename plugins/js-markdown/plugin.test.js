import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { outline } from "./markdown.js";
import plugin from "./plugin.js";
import { check } from "./vendor/cases.js";

function score(text, config = {}) {
  return plugin.score({ prompt: [{ role: "user", content: "Write" }], completions: [text], config })[0];
}

test("cases", () => {
  assert.ok(check(plugin, fileURLToPath(new URL("cases", import.meta.url))) > 0);
});

test("headings, items and fences are told apart", () => {
  const text = "# One #\n\n#no heading\n- a\n  1) b\n* * *\n---\n```js\n# code\n- code\n``\n```\n## Two\n-\n";
  const headings = [{ level: 1, title: "One" }, { level: 2, title: "Two" }];
  assert.deepEqual(outline(text), { headings, items: 2, openFence: null });
  assert.equal(outline("~~~~\n~~~\n```").openFence, "~~~~");
  assert.equal(outline("```inline``` code").openFence, null);
});

test("wanted headings must come in order", () => {
  const config = { headings: ["A", "B"] };
  assert.equal(score("# a\n# b", config).parts.headings, 1);
  assert.equal(score("# b\n# a", config).parts.headings, 0.5);
});

test("items outside the band lose by how far they are off", () => {
  const config = { items_min: 2, items_max: 4 };
  const items = (count) => score(`text\n${"- x\n".repeat(count)}`, config).parts.items;
  assert.deepEqual([0, 1, 2, 4, 8].map(items), [0, 0.5, 1, 1, 0.5]);
});

test("a band that no number is in is a mistake of the configuration", () => {
  assert.throws(() => score("x", { items_min: 3, items_max: 2 }), { name: "ConfigError" });
});
