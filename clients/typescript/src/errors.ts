// The one kind of error that this package throws: what went wrong, why, what was kept, what is next.

import { ERRORS, type ErrorKind } from "./generated/errors.js";

/** What only a client can run into; everything else has a row in the daemon's catalogue. */
export type ClientErrorKind = "timeout" | "closed" | "slow_reader";

/** An error as the wire has it. */
export interface WireError {
  code: number;
  message: string;
  data?: {
    kind?: string;
    why?: string[];
    kept?: string;
    next?: string[];
    holder?: string;
    retry_after?: number;
  };
}

/** What may be said about an error beside its message. */
export interface ErrorDetails {
  /** Why it is so, where that is known. */
  why?: string[];
  /** What was kept, or that nothing was changed. */
  kept?: string;
  /** What to do, as commands that can be pasted. */
  next?: string[];
  /** Who holds what was wanted. */
  holder?: string;
  /** Seconds after which to try again. */
  retryAfter?: number;
  /** What led to it. */
  cause?: unknown;
}

/** A request that was not answered with a result, or a connection that did not come about. */
export class CxoError extends Error implements ErrorDetails {
  override readonly name = "CxoError";
  readonly why: string[];
  readonly kept?: string;
  readonly next: string[];
  readonly holder?: string;
  readonly retryAfter?: number;

  constructor(
    /** The number on the wire: 409, -32602 …; 0 where only the client is concerned. */
    readonly code: number,
    /** Which error it is. A daemon that is newer than this package may know more of them. */
    readonly kind: ErrorKind | ClientErrorKind | (string & {}),
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, { cause: details.cause });
    this.why = details.why ?? [];
    this.next = details.next ?? [];
    if (details.kept !== undefined) this.kept = details.kept;
    if (details.holder !== undefined) this.holder = details.holder;
    if (details.retryAfter !== undefined) this.retryAfter = details.retryAfter;
  }
}

/** The error that the daemon sent. */
export function fromWire({ code, message, data = {} }: WireError): CxoError {
  const { kind = "internal", retry_after, ...details } = data;
  return new CxoError(code, kind, message, {
    ...details,
    ...(retry_after === undefined ? {} : { retryAfter: retry_after }),
  });
}

/** An error that the client found by itself. */
export function failure(
  kind: ErrorKind | ClientErrorKind,
  message: string,
  details: ErrorDetails = {},
): CxoError {
  return new CxoError(kind in ERRORS ? ERRORS[kind as ErrorKind].code : 0, kind, message, details);
}

/** No daemon answers, for these reasons. */
export function noDaemon(why: string[], cause?: unknown): CxoError {
  return failure("no_daemon", "no daemon answers for this repository", {
    why,
    next: ["cxo daemon start"],
    cause,
  });
}

/** The connection is gone. */
export function connectionLost(why: string, cause?: unknown): CxoError {
  return failure("connection_lost", "the connection to the daemon broke", {
    why: [why],
    kept: "runs go on; whether this request was carried out is not known",
    next: ["cxo status"],
    cause,
  });
}

/** What answers is not the repository's daemon. */
export function impostor(why: string): CxoError {
  return failure("impostor", "what answers is not this repository's daemon", {
    why: [why],
    kept: "nothing was asked of it",
    next: ["cxo daemon status"],
  });
}
