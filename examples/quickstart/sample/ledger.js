#!/usr/bin/env node
// ledger: where did the money go? Reads a plain text file, prints lines.
import { readFileSync } from "node:fs";

import { answer } from "./src/commands.js";
import { parse } from "./src/entries.js";

const [file, name = "list", ...rest] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: ledger FILE [COMMAND [ARGUMENT…]]");
  process.exit(2);
}
try {
  for (const line of answer(name, parse(readFileSync(file, "utf8")), rest)) console.log(line);
} catch (error) {
  console.error(`ledger: ${error.message}`);
  process.exit(1);
}
