// The entry for Node: finds the daemon of a repository on this machine and connects to it.

import type { Transport } from "./channel.js";
import { Client, type ClientOptions, type Target } from "./client.js";
import { failure } from "./errors.js";
import type { Framing } from "./framing.js";
import type { Credentials } from "./handshake.js";
import { readKey } from "./key-file.js";
import { findPlaces, type Places } from "./places.js";
import { namedPipe, tcp, unixSocket } from "./sockets.js";

export type { Framing } from "./framing.js";
export * from "./protocol.js";

/** The way to the daemon; `auto` tries Unix socket, named pipe and TCP, and takes the first that answers. */
export type TransportName = "auto" | "uds" | "pipe" | "tcp";

/** Which daemon, and who calls. */
export interface NodeOptions extends ClientOptions {
  /** A directory in the repository; the current one if nothing is said. */
  cwd?: string;
  /** The state directory, where the user's configuration moved it (`[state] dir`). */
  stateDir?: string;
  /** The way. The default is `CXO_SERVER_TRANSPORT`, else `auto`. */
  transport?: TransportName;
  /** How frames are told apart. The daemon takes both. */
  framing?: Framing;
  /** Who calls; the user, by the repository's key, if nothing is said. `none` where no key is wanted. */
  credentials?: Credentials | "none";
  /** A socket to use instead of the repository's. An agent's own (`CXO_SOCKET`) counts where no directory is said. */
  socket?: string;
}

/** A client of the repository's daemon, connected; fails if none answers. */
export function connect(options: NodeOptions = {}): Promise<Client> {
  return Client.connect(nodeTarget(options), options);
}

/** A client of the repository's daemon that connects when something is wanted of it. */
export function createClient(options: NodeOptions = {}): Client {
  return new Client(nodeTarget(options), options);
}

function nodeTarget(options: NodeOptions): Target {
  const { cwd = process.cwd(), stateDir, framing = "lines" } = options;
  const { socket, credentials } = { ...ownSocket(options), ...options };
  // Both are looked up at each try: a daemon that was started meanwhile may have made them.
  const places = () => findPlaces(cwd, stateDir);
  return {
    transports: async () =>
      socket === undefined
        ? transportsOf(wayOf(options), await places(), framing)
        : [unixSocket(socket, framing)],
    credentials: async () => {
      if (credentials === "none") return undefined;
      return credentials ?? { principal: "user", key: await readKey((await places()).keyFile) };
    },
  };
}

/** An agent that a run started has a socket of its own, which says by itself who speaks on it. */
function ownSocket({ cwd, stateDir }: NodeOptions): Pick<NodeOptions, "socket" | "credentials"> {
  const { CXO_SOCKET: socket } = process.env;
  return socket && cwd === undefined && stateDir === undefined ? { socket, credentials: "none" } : {};
}

function wayOf({ transport }: NodeOptions): TransportName {
  const way = transport ?? process.env.CXO_SERVER_TRANSPORT ?? "auto";
  if (way === "auto" || way === "uds" || way === "pipe" || way === "tcp") return way;
  throw failure("bad_config", `there is no transport ${JSON.stringify(way)}`, {
    next: ["use auto, uds, pipe or tcp"],
  });
}

/** The ways of a transport, in the order in which they are tried. */
export function transportsOf(way: TransportName, places: Places, framing: Framing): Transport[] {
  const uds = () => unixSocket(places.socket, framing);
  const pipe = () => namedPipe(places.id, framing);
  const port = () => tcp(places.portFile, framing);
  switch (way) {
    case "auto":
      return [uds(), pipe(), port()];
    case "uds":
      return [uds()];
    case "pipe":
      return [pipe()];
    case "tcp":
      return [port()];
  }
}
