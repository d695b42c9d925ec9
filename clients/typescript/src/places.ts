// Where the daemon of a repository is to be found (docs/protocol.md, "Where things are").

import { execFile } from "node:child_process";
import { lstat, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { promisify } from "node:util";

import { failure, noDaemon } from "./errors.js";

/** What everything of ours is called that lies beside things of others. */
const FOLDER = "codex-orch";

/** Longer ones may not fit a Unix socket: then the runtime directory is not used. */
const MAX_RUNTIME_BASE_BYTES = 70;

/** All that is needed to find a daemon and to be let in. */
export interface Places {
  /** The repository's id. */
  id: string;
  /** The Unix socket. */
  socket: string;
  /** Says at which TCP port the daemon listens, while it does. */
  portFile: string;
  /** The repository's key. */
  keyFile: string;
}

/** Finds the places of the repository that a directory is in. */
export async function findPlaces(cwd: string, stateDir?: string): Promise<Places> {
  const state = stateDir ?? stateDirFromEnvironment() ?? join(await commonGitDir(cwd), FOLDER);
  let id: string;
  try {
    id = (await readFile(join(state, "id"), "utf8")).trimEnd();
  } catch (error) {
    throw noDaemon([`no daemon has ever run here: ${join(state, "id")} is missing`], error);
  }
  const runtime = join(await runtimeBase(), id);
  return {
    id,
    socket: join(runtime, "daemon.sock"),
    portFile: join(runtime, "daemon.port"),
    keyFile: join(userStateDir(), FOLDER, "keys", id),
  };
}

function stateDirFromEnvironment(): string | undefined {
  const { CXO_STATE_DIR: chosen, ORCHESTRATOR_DB_PATH: database } = process.env;
  if (chosen) return chosen.replace(/^~(?=\/|$)/, homedir());
  return database && isAbsolute(database) ? dirname(database) : undefined;
}

async function commonGitDir(cwd: string): Promise<string> {
  try {
    const git = promisify(execFile)("git", ["rev-parse", "--git-common-dir"], { cwd });
    return resolve(cwd, (await git).stdout.trimEnd());
  } catch (error) {
    throw failure("not_a_repository", `${cwd} is not in a git repository`, {
      why: [String((error as { stderr?: unknown }).stderr ?? error).trim()],
      next: [`git -C '${cwd}' status`],
      cause: error,
    });
  }
}

/** The session's runtime directory, or one below the temporary directory that belongs to this user alone. */
async function runtimeBase(): Promise<string> {
  const given = process.env.XDG_RUNTIME_DIR;
  if (given && Buffer.byteLength(join(given, FOLDER)) <= MAX_RUNTIME_BASE_BYTES) {
    if (await isDirectory(given)) return join(given, FOLDER);
  }
  const uid = process.getuid?.() ?? 0;
  const base = `/tmp/${FOLDER}-${uid}`;
  const found = await lstat(base).catch(() => undefined);
  if (found && (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0)) {
    throw failure("state_unusable", `${base} is not a directory of this user alone`, {
      why: ["sockets in it could be taken over by another user"],
      kept: "nothing was sent",
      next: [`ls -ld ${base}`],
    });
  }
  return base;
}

function userStateDir(): string {
  const given = process.env.XDG_STATE_HOME;
  return given && isAbsolute(given) ? given : join(homedir(), ".local", "state");
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
