import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Repository } from "./repository.js";

const run = promisify(execFile);
const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const TSC = join(PACKAGE, "node_modules/typescript/bin/tsc");

let project: string;
let examples: { ts: string; tsx: string };

/** A fresh project that has the package from its tarball and nothing else. */
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "cxo-project-"));
  const pack = await run("npm", ["pack", "--json", "--pack-destination", project], { cwd: PACKAGE });
  const [{ filename }] = JSON.parse(pack.stdout.slice(pack.stdout.indexOf("[\n")));
  await writeFile(join(project, "package.json"), JSON.stringify({ name: "fresh", type: "module" }));
  const quiet = ["--offline", "--no-audit", "--no-fund"];
  await run("npm", ["install", ...quiet, join(project, filename)], { cwd: project });
  const readme = await readFile(join(project, "node_modules/@codex-orchestrator/client/README.md"), "utf8");
  const block = (language: string) => readme.match(new RegExp("```" + language + "\n(.*?)```", "s"))?.[1] ?? "";
  examples = { ts: block("ts"), tsx: block("tsx") };
}, 120_000);
afterAll(() => rm(project, { recursive: true, force: true }));

describe("the package", () => {
  test("[A8.1] gives its types to a fresh project, also those of React", async () => {
    await mkdir(join(project, "node_modules/@types"), { recursive: true });
    for (const name of ["react", "@types/react", "@types/node", "csstype", "undici-types"]) {
      await symlink(join(PACKAGE, "node_modules", name), join(project, "node_modules", name));
    }
    await writeFile(join(project, "example.ts"), examples.ts);
    await writeFile(join(project, "example.tsx"), `${examples.tsx}\n`);
    await writeFile(
      join(project, "wrong.ts"),
      `import { connect } from "@codex-orchestrator/client";
      const client = await connect();
      // @ts-expect-error
      await client.call("no.such");
      // @ts-expect-error
      await client.call("lock.acquire");
      // @ts-expect-error
      await client.call("lock.acquire", { path: 1 });
      // @ts-expect-error
      (await client.call("lock.acquire", { path: "a" })).fence satisfies string;
      // @ts-expect-error
      client.on("task.completed", ({ data }) => data.reason);
      client.on("task.*", (event) => event.topic === "task.failed" && event.data.reason);
      `,
    );
    const strict = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--jsx", "react-jsx"];
    const files = ["wrong.ts", "example.ts", "example.tsx"];
    const checked = await run("node", [TSC, ...strict, "--skipLibCheck", ...files], { cwd: project }).catch(
      (error) => error,
    );
    expect(checked.stdout).toBe("");
  });

  test("[A8.1] [A8.6] does what its README shows, with the real daemon", async () => {
    const repository = await Repository.make();
    try {
      await repository.start();
      const { outputText } = ts.transpileModule(examples.ts, {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
      });
      const script = join(project, "example.mjs");
      await writeFile(script, outputText);
      const { stdout, stderr } = await run("node", [script], {
        cwd: repository.path,
        env: repository.env,
        timeout: 20_000,
      });
      expect(stderr).toBe("");
      expect(stdout.split("\n").map((line) => line.replace(/^\d+:/, "SEQ:"))).toEqual([
        expect.stringMatching(/^cxo \d+\.\d+\.\d+, 0 tasks at work$/),
        "SEQ: docs holds README.md",
        "session.changed started",
        "session.changed present",
        "lock.changed acquired",
        "lock.changed released",
        "",
      ]);
    } finally {
      await repository.remove();
    }
  });
});
