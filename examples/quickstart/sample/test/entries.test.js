import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "../src/entries.js";

test("entries are read, comments and empty lines are not", () => {
  const entries = parse("# a comment\n\n2026-01-03 food 12.50 bread and cheese\n");
  assert.deepEqual(entries, [
    { date: "2026-01-03", category: "food", cents: 1250, note: "bread and cheese" },
  ]);
});

test("a line that is no entry is named", () => {
  assert.throws(() => parse("2026-01-03 food 12.50 bread\nlunch 3"), /line 2 is no entry: lunch 3/);
});
