// The client: calls and events over connections that come and go.

import { type Backoff, DEFAULT_BACKOFF, waitMs } from "./backoff.js";
import { type CallOptions, Calls, type Repeat } from "./calls.js";
import type { Transport } from "./channel.js";
import { Connection } from "./connection.js";
import { type Envelope, unwrap } from "./envelope.js";
import { CxoError, failure, noDaemon } from "./errors.js";
import { EventStream } from "./event-stream.js";
import { METHOD_KINDS, type Method, type Methods } from "./generated/methods.js";
import type { Credentials, DaemonIdentity } from "./handshake.js";
import { type Ask, guarded, Subscriptions } from "./subscriptions.js";
import type { Covered, Gap, TopicEvent, TopicPattern } from "./topics.js";

/** Whether a client is connected. It connects by itself when something is wanted of it. */
export type ClientState = "disconnected" | "connecting" | "connected" | "closed";

/** How a client behaves. */
export interface ClientOptions {
  /** How long to wait between tries at connecting. */
  backoff?: Backoff;
  /** How requests are wrapped. The daemon takes both. */
  envelope?: Envelope;
}

/** Where a client connects to. */
export interface Target {
  /** The ways to the daemon, in the order in which they are tried. */
  transports(): Promise<readonly Transport[]>;
  /** Who calls. Asked for each time, because keys change. Without them there is no handshake. */
  credentials(): Promise<Credentials | undefined>;
}

/** The parameters of a method; they may be left out where none is needed. */
export type Given<M extends Method> =
  {} extends Methods[M]["params"]
    ? [params?: Methods[M]["params"], options?: CallOptions]
    : [params: Methods[M]["params"], options?: CallOptions];

/** A listener that was added. */
export interface Subscription {
  /** The position from which on events are told; fails if the daemon refuses. */
  readonly ready: Promise<number>;
  /** Ends it. */
  off(): void;
}

/** A client of one repository's daemon. */
export class Client {
  readonly #calls: Calls;
  readonly #subscriptions: Subscriptions;
  readonly #stateListeners = new Set<(state: ClientState) => void>();
  readonly #gapListeners = new Set<(gap: Gap) => void>();
  #state: ClientState = "disconnected";
  #connection: Connection | undefined;
  #wake: () => void = () => {};

  constructor(
    private readonly target: Target,
    private readonly options: ClientOptions = {},
    since?: number,
  ) {
    this.#calls = new Calls(options.envelope ?? "jsonrpc");
    this.#subscriptions = new Subscriptions((gap) => {
      for (const listener of this.#gapListeners) guarded(() => listener(gap));
    }, since);
  }

  /** A client that is connected; fails if no daemon answers. */
  static async connect(target: Target, options: ClientOptions = {}): Promise<Client> {
    const client = new Client(target, options);
    client.#become("connecting");
    try {
      void client.#keepConnected(await client.#connect());
    } catch (error) {
      client.close();
      throw asCxoError(error);
    }
    return client;
  }

  /** Whether it is connected. */
  get state(): ClientState {
    return this.#state;
  }

  /** Which daemon answers, while it is connected by a handshake. */
  get daemon(): DaemonIdentity | undefined {
    return this.#connection?.daemon;
  }

  /** Calls a method and answers its result. A `CxoError` says why there is none. */
  async call<M extends Method>(method: M, ...[params, options]: Given<M>): Promise<Methods[M]["result"]> {
    if (this.#state === "closed") throw closed();
    const repeat = METHOD_KINDS[method] === "read" || options?.idemKey !== undefined ? "safe" : "never";
    const answer = this.#ask(method, params ?? {}, repeat, options);
    this.#start();
    return answer;
  }

  /** Tells every event of a topic, of a family (`task.*`) or all (`*`) from now on. */
  on<P extends TopicPattern>(
    topics: P | readonly P[],
    handler: (event: TopicEvent<Covered<P>>) => void,
  ): Subscription {
    return this.#listen(topics, handler as (event: TopicEvent) => void, () => {});
  }

  /**
   * The events of topics, one behind the other: from now on, or all after a position of the log. The past
   * is read on a connection of its own, so that nothing else waits behind it.
   */
  events<P extends TopicPattern>(
    topics: P | readonly P[],
    { since }: { since?: number } = {},
  ): EventStream<TopicEvent<Covered<P>>> {
    const past = since === undefined ? undefined : new Client(this.target, this.options, since);
    return new EventStream((tell, ended) => {
      const told = tell as (event: TopicEvent) => void;
      const subscription = (past ?? this).#listen(topics, told, ended);
      const gaps = past?.onGap((gap) => {
        for (const listener of this.#gapListeners) guarded(() => listener(gap));
      });
      return () => {
        gaps?.();
        subscription.off();
        past?.close();
      };
    });
  }

  /** Tells when events are missing for good: the log is another one, or cannot be read. */
  onGap(handler: (gap: Gap) => void): () => void {
    this.#gapListeners.add(handler);
    return () => this.#gapListeners.delete(handler);
  }

  /** Tells when the state changes. */
  onState(handler: (state: ClientState) => void): () => void {
    this.#stateListeners.add(handler);
    return () => this.#stateListeners.delete(handler);
  }

  /** Ends the connection, and all that waits for something. */
  close(): void {
    if (this.#state === "closed") return;
    this.#become("closed");
    this.#wake();
    this.#connection?.close();
    this.#calls.end(closed());
    this.#subscriptions.end(closed());
  }

  #listen<P extends TopicPattern>(
    topics: P | readonly P[],
    tell: (event: TopicEvent) => void,
    ended: (error: CxoError) => void,
  ): Subscription {
    const patterns = typeof topics === "string" ? [topics] : topics;
    let off = () => {};
    const ready = new Promise<number>((agreed, refused) => {
      const fail = (error: CxoError) => {
        refused(error);
        ended(error);
      };
      if (this.#state === "closed") return fail(closed());
      off = this.#subscriptions.add({ patterns, tell, agreed, ended: fail });
      this.#start();
    });
    // Who does not wait for it is not bothered by its failure.
    ready.catch(() => {});
    return { ready, off };
  }

  #ask<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    repeat: Repeat,
    options?: CallOptions,
  ): Promise<Methods[M]["result"]> {
    const request = { method, params, idemKey: options?.idemKey };
    return this.#calls.make(request, repeat, options) as Promise<Methods[M]["result"]>;
  }

  /** Connects, unless that is under way; a wait before the next try ends. */
  #start(): void {
    this.#wake();
    if (this.#state === "disconnected") void this.#keepConnected();
  }

  /** Stays connected for as long as anybody wants something. */
  async #keepConnected(first?: Connection): Promise<void> {
    let connection = first;
    for (let tries = 0; this.#state !== "closed"; tries++) {
      this.#become("connecting");
      try {
        connection ??= await this.#connect();
        await this.#serve(connection);
        tries = 0;
      } catch (error) {
        this.#failed(asCxoError(error));
      }
      connection = undefined;
      if (!this.#calls.any && !this.#subscriptions.any) break;
      await this.#wait(waitMs(tries, this.options.backoff ?? DEFAULT_BACKOFF));
    }
    this.#become("disconnected");
  }

  /** A daemon that is away is waited for, but not one that refuses. */
  #failed(error: CxoError): void {
    this.#calls.notConnected(error);
    if (error.kind === "no_daemon") return;
    this.#calls.end(error);
    this.#subscriptions.refused(error);
  }

  /** Tries the ways in their order and takes the first that answers. */
  async #connect(): Promise<Connection> {
    const credentials = await this.target.credentials();
    const why: string[] = [];
    for (const transport of await this.target.transports()) {
      try {
        return await Connection.open(await transport.connect(), credentials);
      } catch (error) {
        // Somebody answered, and it is not to be.
        if (error instanceof CxoError && error.kind !== "connection_lost") throw error;
        why.push(`${transport.name}: ${error instanceof Error ? error.message : error}`);
      }
    }
    throw noDaemon(why);
  }

  /** Carries requests, answers and events until the connection ends. */
  async #serve(connection: Connection): Promise<void> {
    if (this.#state === "closed") return connection.close();
    this.#connection = connection;
    this.#become("connected");
    this.#calls.connected(connection);
    const broken = () => connection.close();
    this.#subscriptions.connected(this.#askNow).catch(broken);
    let cause: unknown;
    try {
      for await (const message of connection.messages()) this.#receive(message, broken);
    } catch (error) {
      cause = error;
    }
    connection.close();
    this.#connection = undefined;
    this.#subscriptions.disconnected();
    const why = cause instanceof Error ? cause.message : "the daemon closed it";
    this.#calls.disconnected(why, cause);
  }

  #receive(message: unknown, broken: () => void): void {
    const told = unwrap(message);
    if (!told) return;
    if (!("method" in told)) return this.#calls.receive(told);
    if (told.method === "pubsub.event") this.#subscriptions.receive(told.params as TopicEvent);
    if (told.method === "gap") this.#subscriptions.cutOff().catch(broken);
  }

  /** A request that is about this connection only. */
  readonly #askNow: Ask = (method, params) => this.#ask(method, params, "never");

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #become(state: ClientState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const listener of this.#stateListeners) guarded(() => listener(state));
  }
}

function closed(): CxoError {
  return failure("closed", "the client was closed", { next: ["connect again"] });
}

function asCxoError(error: unknown): CxoError {
  if (error instanceof CxoError) return error;
  return noDaemon([error instanceof Error ? error.message : String(error)], error);
}
