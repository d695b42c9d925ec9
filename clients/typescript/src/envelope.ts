// The two envelopes of a request. Answers and notices are understood in both.

import type { WireError } from "./errors.js";

/** How a request is wrapped: as JSON-RPC 2.0, or plainly. */
export type Envelope = "jsonrpc" | "plain";

/** What a request says. */
export interface Request {
  id: number;
  method: string;
  params: object;
  idemKey?: string | undefined;
}

/** An answer to a request. */
export interface Answer {
  id: number;
  result?: unknown;
  error?: WireError | null;
}

/** Something that the daemon says without being asked. */
export interface Notice {
  method: string;
  params: unknown;
}

/** A request in its envelope. */
export function wrap({ id, method, params, idemKey }: Request, envelope: Envelope): object {
  return {
    ...(envelope === "jsonrpc" && { jsonrpc: "2.0" }),
    id,
    method,
    params,
    ...(idemKey !== undefined && { idem_key: idemKey }),
  };
}

/** What came, told apart; nothing if it is neither. */
export function unwrap(message: unknown): Answer | Notice | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  if ("method" in message) return message as Notice;
  return "id" in message ? (message as Answer) : undefined;
}
