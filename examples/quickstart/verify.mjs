// Says whether the demonstration really was what it claims to be. Believes git and the model
// server's own log before it believes the orchestrator.
//
//   node verify.mjs REPOSITORY STATUS.json WITNESS.jsonl
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const [repository, statusFile, witnessFile] = process.argv.slice(2);
const run = JSON.parse(readFileSync(statusFile, "utf8")).runs[0];
const asked = readFileSync(witnessFile, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const git = (...words) => execFileSync("git", ["-C", repository, ...words], { encoding: "utf8" });

const branch = `result-${run.id}`;
const landed = git("log", "--format=%(trailers:key=Cxo-Task,valueonly,separator=%x2C)", `main..${branch}`)
  .split("\n")
  .filter((task) => task !== "");
const merged = run.tasks.filter((task) => task.state === "merged").map((task) => task.id);

// Two turns of one script on one thread: the agent was asked again where it had stopped.
const healed = asked.filter((request) => request.script === "months" && request.turn === 2);
const sameThread = healed.length > 0 && asked.some(
  (request) => request.script === "months" && request.turn === 1 && request.thread === healed[0].thread,
);

const resolved = run.tasks.flatMap((task) => task.kept);
const keptAll = resolved.length > 0 && resolved.every(
  (kept) => kept.landed_kept === kept.landed_of && kept.task_kept === kept.task_of,
);

// Agents at the same time: threads whose first and last request enclose a common moment.
const spans = new Map();
for (const { script, thread, at_ms } of asked.filter(({ script }) => script !== null)) {
  const span = spans.get(thread) ?? { script, from: at_ms, to: at_ms };
  spans.set(thread, { ...span, to: at_ms });
}
const most = Math.max(0, ...[...spans.values()].map(
  ({ from }) => [...spans.values()].filter((other) => other.from <= from && from <= other.to).length,
));

const claims = [
  [`${landed.length} tasks landed, each once`, landed.length >= 5 && new Set(landed).size === landed.length],
  ["git and the orchestrator name the same tasks", landed.toSorted().join() === merged.toSorted().join()],
  [`${most} agents at the same time`, most >= 3],
  ["a failing check was healed on the same thread", sameThread],
  ["a conflict was resolved and every line kept", keptAll],
  ["dependencies were followed", run.tasks.some((task) => task.needs.length > 0)],
  ["main is where it was", git("rev-parse", "main").trim() === run.base_commit],
];
for (const [claim, holds] of claims) console.log(`  ${holds ? "✔" : "✘"} ${claim}`);
process.exit(claims.every(([, holds]) => holds) ? 0 : 1);
