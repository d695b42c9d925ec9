// The ways to a daemon on this machine that Node has: Unix socket, named pipe and TCP on loopback.

import { readFile } from "node:fs/promises";
import { isIP, connect, type NetConnectOpts, type Socket } from "node:net";

import type { Channel, Transport } from "./channel.js";
import { decodeFrames, encodeFrame, type Framing } from "./framing.js";
import { impostor } from "./errors.js";

/** The Unix socket at a path. */
export function unixSocket(path: string, framing: Framing): Transport {
  return {
    name: `Unix socket ${path}`,
    connect: () => dial({ path }, "uds", framing),
  };
}

/** The Windows named pipe of a repository. */
export function namedPipe(repositoryId: string, framing: Framing): Transport {
  const path = `\\\\.\\pipe\\codex-orchestrator-${repositoryId}`;
  return {
    name: `named pipe ${path}`,
    connect: async () => {
      if (process.platform !== "win32") throw new Error("this system has no named pipes");
      return dial({ path }, "pipe", framing);
    },
  };
}

/** TCP, at the port that a file names while the daemon listens. */
export function tcp(portFile: string, framing: Framing): Transport {
  return {
    name: `TCP by ${portFile}`,
    connect: async () => {
      const { host, port } = portOf(await readFile(portFile, "utf8"));
      return dial({ host, port, noDelay: true }, `tcp:${port}`, framing);
    },
  };
}

/** What a port file says: a port of this machine, and never another machine. */
export function portOf(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5})$/.exec(text.trim()) ?? [];
  const host = bracketed ?? plain ?? "127.0.0.1";
  const port = Number(digits ?? Number.NaN);
  if (!(port > 0 && port < 65536)) throw impostor(`the port file says ${JSON.stringify(text.slice(0, 80))}`);
  if (!isLoopback(host)) throw impostor(`the port file says ${host}, and a daemon is only ever on this machine`);
  return { host, port };
}

function isLoopback(host: string): boolean {
  return host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function dial(options: NetConnectOpts, transport: string, framing: Framing): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      // From here on who reads or writes hears of it.
      socket.on("error", () => {});
      resolve(overSocket(socket, transport, framing));
    });
  });
}

/** The channel over a socket. */
export function overSocket(socket: Socket, transport: string, framing: Framing): Channel {
  return {
    transport,
    frames: decodeFrames(socket, framing),
    send: (frame) =>
      new Promise((resolve, reject) => {
        socket.write(encodeFrame(frame, framing), (error) => (error ? reject(error) : resolve()));
      }),
    close: () => socket.destroy(),
  };
}
