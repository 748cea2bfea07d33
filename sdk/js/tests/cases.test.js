import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { check } from "../cases.js";
import { reward } from "../reward.js";

const short = reward({ name: "short", parts: [{ name: "letters", max: 100 }] }, ({ completions, reference }) => {
  if (completions.includes("?")) throw new RangeError("no answer");
  return completions.map((text) => {
    if (text === "") return { reward: null, reason: "empty" };
    const fits = text.length <= reference.length;
    return { reward: fits, parts: { letters: text.length }, reason: `${text.length} letters` };
  });
});

function checked(...completions) {
  const folder = mkdtempSync(join(tmpdir(), "cases-"));
  try {
    const file = join(folder, "case.json");
    writeFileSync(file, JSON.stringify({ prompt: "Say four", reference: "four", completions }));
    return check(short, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("what fits passes", () => {
  const judged = checked(
    { text: "4", expect: { reward: 1, parts: { letters: 1 }, reason_contains: "1 letter" } },
    { text: "fourteen", expect: { reward: 0.1, tolerance: 0.2, outcome: "scored" } },
    { text: "", expect: { outcome: "abstained", reason_contains: "empty" } },
    { text: "whatever", expect: { reward: 0 } },
  );
  assert.equal(judged, 4);
});

test("every difference is told", () => {
  const told = (() => {
    try {
      checked(
        { text: "4", expect: { reward: 0, parts: { letters: 2, others: 1 }, reason_contains: "x" } },
        { text: "", expect: { reward: 1 } },
        { text: "4", expect: { outcome: "abstained" } },
      );
    } catch (error) {
      return error.message.split("\n");
    }
    return [];
  })();
  assert.equal(told.length, 6);
  assert.equal(told[1], "case.json, completion 0: the reward is 1, and 0 is expected");
  assert.equal(told[4], "case.json, completion 1: it abstained (empty), and scored is expected");
  assert.equal(told[5], "case.json, completion 2: it scored (1 letters), and abstained is expected");
});

test("what is thrown is a fault of every completion", () => {
  const fault = { outcome: "faulted", reason_contains: "RangeError: no answer" };
  assert.equal(checked({ text: "?", expect: fault }, { text: "4", expect: fault }), 2);
  assert.throws(() => checked({ text: "?", expect: {} }), /it faulted/);
  assert.throws(() => checked({ text: "4", expect: { rewards: 1 } }), /nothing can be expected of rewards/);
});

test("a folder without cases is no success", () => {
  const folder = mkdtempSync(join(tmpdir(), "cases-"));
  assert.throws(() => check(short, folder), /holds no cases/);
  rmSync(folder, { recursive: true });
});
