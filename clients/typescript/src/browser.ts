// The entry for browsers: the same client over a WebSocket.

import { Client, type ClientOptions, type Target } from "./client.js";
import { type SignIn, webSocket } from "./web-socket.js";

export * from "./protocol.js";
export { type SignIn, webSocket } from "./web-socket.js";

/** Which daemon, and who calls. */
export interface BrowserOptions extends ClientOptions {
  /** The address of the WebSocket: `ws://127.0.0.1:4711/ws`, on the daemon's own page `/ws` of its host. */
  url: string;
  /** The code of the link by which the page was opened, or a token that was given before. */
  signIn: SignIn;
}

/** A client that is connected; fails if nobody answers. */
export function connect(options: BrowserOptions): Promise<Client> {
  return Client.connect(browserTarget(options), options);
}

/** A client that connects when something is wanted of it. */
export function createClient(options: BrowserOptions): Client {
  return new Client(browserTarget(options), options);
}

/** The code in the address of this page, which is taken out of it. */
export function takeCode(): string | undefined {
  const code = /^#code=([0-9a-f]{64})$/.exec(location.hash)?.[1];
  if (code) history.replaceState(null, "", location.pathname);
  return code;
}

function browserTarget({ url, signIn }: BrowserOptions): Target {
  const socket = webSocket(url, signIn);
  return { transports: async () => [socket], credentials: async () => undefined };
}
