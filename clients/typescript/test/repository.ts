// A repository with the real daemon, in places of its own.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The program under test. */
export const CXO = process.env.CXO_BIN ?? fileURLToPath(new URL("../../../target/debug/cxo", import.meta.url));

/** A repository in which `cxo` can be called. */
export class Repository {
  private constructor(
    private readonly top: string,
    readonly path: string,
    readonly env: Record<string, string>,
  ) {}

  static async make(): Promise<Repository> {
    if (!existsSync(CXO)) throw new Error(`${CXO} is missing: cargo build -p cxo-cli, or set CXO_BIN`);
    const top = await mkdtemp(join(tmpdir(), "cxo-"));
    const at = (name: string) => join(top, name);
    for (const name of ["repo", "home", "run"]) await mkdir(at(name), { mode: 0o700 });
    const env = {
      PATH: process.env.PATH ?? "",
      HOME: at("home"),
      XDG_RUNTIME_DIR: at("run"),
      XDG_STATE_HOME: at("home/state"),
      XDG_CONFIG_HOME: at("home/config"),
      GIT_CONFIG_GLOBAL: at("home/gitconfig"),
      GIT_CONFIG_SYSTEM: at("home/gitconfig"),
    };
    const repository = new Repository(top, at("repo"), env);
    const who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    await repository.#in("git", ["init", "-q", "-b", "main"]);
    await repository.#in("git", [...who, "commit", "-q", "--allow-empty", "-m", "First"]);
    return repository;
  }

  /** Calls `cxo`. */
  async cxo(...args: string[]): Promise<string> {
    return this.#in(CXO, args);
  }

  /** Starts the daemon and answers its process id. */
  async start(): Promise<number> {
    await this.cxo("daemon", "start");
    return JSON.parse(await this.cxo("daemon", "status", "--format", "json")).pid;
  }

  async remove(): Promise<void> {
    await this.cxo("daemon", "stop", "--end-agents").catch(() => {});
    await rm(this.top, { recursive: true, force: true, maxRetries: 5 });
  }

  async #in(program: string, args: string[]): Promise<string> {
    const { stdout } = await run(program, args, { cwd: this.path, env: this.env });
    return stdout;
  }
}
