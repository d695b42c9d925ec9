// The commands of the program. Each gets the entries and its arguments, and answers with lines.

import { format, sum } from "./money.js";

export const commands = [
  { name: "list", help: "all entries", run: list },
  { name: "total", help: "the sum of all entries", run: total },
];

export function answer(name, entries, rest) {
  const command = commands.find((command) => command.name === name);
  if (command === undefined) {
    const known = commands.map((command) => command.name).join(", ");
    throw new Error(`there is no command ${name}; there are: ${known}`);
  }
  return command.run(entries, rest);
}

function list(entries) {
  return entries.map((entry) => `${entry.date} ${entry.category} ${format(entry.cents)} ${entry.note}`);
}

function total(entries) {
  return [format(sum(entries))];
}
