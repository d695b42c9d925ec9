import assert from "node:assert/strict";
import { test } from "node:test";

import { answer } from "../src/commands.js";
import { parse } from "../src/entries.js";

const entries = parse("2026-01-03 food 12.50 bread\n2026-02-02 rent 640.00 flat\n");

test("list shows every entry", () => {
  assert.deepEqual(answer("list", entries, []), [
    "2026-01-03 food 12.50 bread",
    "2026-02-02 rent 640.00 flat",
  ]);
});

test("total adds up", () => {
  assert.deepEqual(answer("total", entries, []), ["652.50"]);
});

test("a command that does not exist is refused with those that do", () => {
  assert.throws(() => answer("sing", entries, []), /no command sing; there are: list, total/);
});
