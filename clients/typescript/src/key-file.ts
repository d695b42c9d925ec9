// Reads the repository's key, if the file is the user's own and nobody else can read it.

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

import type { Bytes } from "./bytes.js";
import { failure, noDaemon } from "./errors.js";

const KEY_BYTES = 32;

/** The key in a file. A link is not followed. */
export async function readKey(path: string): Promise<Bytes> {
  // A link is not followed, and a pipe that nobody writes to does not hold us up.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  let file: FileHandle;
  try {
    file = await open(path, flags);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Whoever serves this repository has made a key.
    if (code === "ENOENT") throw noDaemon([`there is no key file ${path}`], error);
    throw unsafe(path, code === "ELOOP" ? "it is a link" : message, `ls -l '${path}'`);
  }
  try {
    const stat = await file.stat();
    const again = `rm '${path}' && cxo daemon start`;
    if (!stat.isFile()) throw unsafe(path, "it is not a regular file", again);
    if (process.getuid && stat.uid !== process.getuid()) {
      throw unsafe(path, `it belongs to another user (${stat.uid})`, `ls -l '${path}'`);
    }
    if (process.platform !== "win32" && (stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
      throw unsafe(path, `others can reach it (mode ${mode})`, `chmod 600 '${path}' && cxo key rotate`);
    }
    if (stat.size !== KEY_BYTES) {
      throw unsafe(path, `it has ${stat.size} bytes, and a key has ${KEY_BYTES}`, again);
    }
    return new Uint8Array(await file.readFile());
  } finally {
    await file.close();
  }
}

function unsafe(path: string, why: string, fix: string) {
  return failure("unsafe_key", `the key file ${path} is not used`, {
    why: [why],
    kept: "nothing was sent, and nothing was changed",
    next: [fix],
  });
}
