// Requests that wait for their answer, over as many connections as it takes.

import type { Connection } from "./connection.js";
import { type Answer, type Envelope, type Request, wrap } from "./envelope.js";
import { CxoError, connectionLost, failure, fromWire, noDaemon } from "./errors.js";

/** How long an answer may take if nobody says otherwise, connecting included. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** How a request is carried out. */
export interface CallOptions {
  /**
   * The same request with the same key has its effect once, however often it is sent. A request with a
   * key is sent again when the connection breaks before its answer.
   */
  idemKey?: string;
  /** How long the answer may take, in milliseconds. */
  timeoutMs?: number;
  /** Gives up on the answer. What the daemon has begun goes on. */
  signal?: AbortSignal;
}

/** Whether a request may be sent a second time when nobody knows whether the first one arrived. */
export type Repeat = "safe" | "never";

interface Waiting {
  request: Request;
  repeat: Repeat;
  isSent: boolean;
  answered: (result: unknown) => void;
  failed: (error: unknown) => void;
}

/** The requests of one client. */
export class Calls {
  #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #connection: Connection | undefined;
  /** Why the last try at connecting failed. */
  #notConnected: CxoError | undefined;

  constructor(private readonly envelope: Envelope) {}

  /** Whether anybody waits. */
  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** Sends a request as soon as there is a connection, and waits for its answer. */
  make(
    request: Omit<Request, "id">,
    repeat: Repeat,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {},
  ): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const settled = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
        this.#waiting.delete(id);
      };
      const failed = (error: unknown) => {
        settled();
        reject(error);
      };
      const aborted = () => failed(signal?.reason);
      const timer = setTimeout(() => failed(this.#late(request.method, timeoutMs)), timeoutMs);
      const answered = (result: unknown) => {
        settled();
        resolve(result);
      };
      if (signal?.aborted) return aborted();
      signal?.addEventListener("abort", aborted);
      const waiting = { request: { ...request, id }, repeat, isSent: false, answered, failed };
      this.#waiting.set(id, waiting);
      if (this.#connection) this.#send(this.#connection, waiting);
    });
  }

  /** A connection is open: what waits is sent, in its order. */
  connected(connection: Connection): void {
    this.#connection = connection;
    this.#notConnected = undefined;
    for (const waiting of this.#waiting.values()) this.#send(connection, waiting);
  }

  /** The connection is gone: what cannot be sent again has failed. */
  disconnected(why: string, cause?: unknown): void {
    this.#connection = undefined;
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.isSent && waiting.repeat === "never") waiting.failed(connectionLost(why, cause));
      waiting.isSent = false;
    }
  }

  /** A try at connecting failed. Requests wait for the next one. */
  notConnected(error: CxoError): void {
    this.#notConnected = error;
  }

  /** An answer came. */
  receive({ id, result, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    if (error) waiting?.failed(fromWire(error));
    else waiting?.answered(result);
  }

  /** Ends all that wait. */
  end(error: CxoError): void {
    for (const waiting of [...this.#waiting.values()]) waiting.failed(error);
  }

  #send(connection: Connection, waiting: Waiting): void {
    waiting.isSent = true;
    try {
      // A connection that breaks is noticed by who reads it.
      connection.send(wrap(waiting.request, this.envelope)).catch(() => {});
    } catch (error) {
      waiting.failed(error);
    }
  }

  #late(method: string, timeoutMs: number): CxoError {
    if (!this.#connection) return this.#notConnected ?? noDaemon(["it could not be reached in time"]);
    return failure("timeout", `${method} was not answered within ${timeoutMs / 1000} s`, {
      kept: "whether it was carried out is not known",
      next: ["cxo daemon status"],
    });
  }
}
