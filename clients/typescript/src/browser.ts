// The entry for browsers: the same client over a WebSocket.

import { Client, type ClientOptions, type Target } from "./client.js";
import type { Credentials } from "./handshake.js";
import { webSocket } from "./web-socket.js";

export * from "./protocol.js";
export { webSocket } from "./web-socket.js";

/** Which daemon, and who calls. */
export interface BrowserOptions extends ClientOptions {
  /** The address of the WebSocket: `ws://127.0.0.1:4711/rpc`. */
  url: string;
  /** Who calls, where the server wants the handshake and does not know it by the page. */
  credentials?: Credentials;
}

/** A client that is connected; fails if nobody answers. */
export function connect(options: BrowserOptions): Promise<Client> {
  return Client.connect(browserTarget(options), options);
}

/** A client that connects when something is wanted of it. */
export function createClient(options: BrowserOptions): Client {
  return new Client(browserTarget(options), options);
}

function browserTarget({ url, credentials }: BrowserOptions): Target {
  return { transports: async () => [webSocket(url)], credentials: async () => credentials };
}
