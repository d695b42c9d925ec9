// Who listens to what, and what the daemon has to be asked for so that everybody hears each event
// once. It knows no connection: it is given one to ask by.

import { CxoError, failure } from "./errors.js";
import type { Methods } from "./generated/methods.js";
import { covers, type Gap, Position, type TopicEvent, type TopicPattern } from "./topics.js";

/** Asks the daemon on the connection that is open now. */
export type Ask = <M extends "pubsub.subscribe" | "pubsub.unsubscribe">(
  method: M,
  params: Methods[M]["params"],
) => Promise<Methods[M]["result"]>;

/** Somebody who listens. */
export interface Listener {
  patterns: readonly TopicPattern[];
  tell: (event: TopicEvent) => void;
  /** Called when nothing will be told any more. */
  ended: (error: CxoError) => void;
  /** Settled when the daemon agreed, with the position from which on events are told. */
  agreed: (from: number) => void;
  /** That position. What is not kept in the log bears the position of the last event that is. */
  from?: number;
  /** What came before the daemon's answer; as little as one connection has under way. */
  early?: TopicEvent[];
  /** Whether the log was read for it since: then the event at that position came again. */
  isResumed?: boolean;
}

/** Everybody who listens on one client. */
export class Subscriptions {
  #listeners = new Set<Listener>();
  #position: Position | undefined;
  #ask: Ask | undefined;
  /** The position from which on the first listener wants to be told, if not from now on. */
  #since: number | undefined;
  /** How far everything had come at the last gap: a second one there cannot be filled. */
  #gapAt: number | undefined;

  constructor(
    private readonly tellGap: (gap: Gap) => void,
    since?: number,
  ) {
    this.#since = since;
    if (since !== undefined) this.#position = new Position(since);
  }

  /** Whether anybody listens. */
  get any(): boolean {
    return this.#listeners.size > 0;
  }

  /** Adds a listener; the answer takes it away. */
  add(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#ask) void this.#begin(this.#ask, listener);
    return () => {
      if (!this.#listeners.delete(listener)) return;
      const wanted = patternsOf(this.#listeners);
      const topics = listener.patterns.filter((pattern) => !wanted.includes(pattern));
      if (topics.length > 0) this.#ask?.("pubsub.unsubscribe", { topics }).catch(() => {});
    };
  }

  /** A connection is open: everybody hears what was missed, then what comes. */
  async connected(ask: Ask): Promise<void> {
    this.#ask = ask;
    const position = this.#position;
    const known = [...this.#listeners].filter(({ from }) => from !== undefined);
    const starting = [...this.#listeners].filter(({ from }) => from === undefined);
    if (position && known.length > 0) await this.#resume(ask, known, position.complete);
    for (const listener of starting) await this.#begin(ask, listener);
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#ask = undefined;
  }

  /** A daemon refuses the client: who never heard anything will not. */
  refused(error: CxoError): void {
    for (const listener of this.#listeners) {
      if (listener.from !== undefined) continue;
      this.#listeners.delete(listener);
      listener.ended(error);
    }
  }

  /** An event came. */
  receive(event: TopicEvent): void {
    this.#position ??= new Position(event.seq - 1);
    if (!this.#position.take(event)) return;
    for (const listener of this.#listeners) {
      if (!listener.patterns.some((pattern) => covers(pattern, event.topic))) continue;
      if (listener.from === undefined) (listener.early ??= []).push(event);
      else if (listener.isResumed ? event.seq > listener.from : event.seq >= listener.from) {
        guarded(() => listener.tell(event));
      }
    }
  }

  /** The daemon dropped events because they were not read fast enough. */
  async cutOff(): Promise<void> {
    const [ask, position] = [this.#ask, this.#position];
    if (!ask || !position) return;
    const known = [...this.#listeners].filter(({ from }) => from !== undefined);
    const isStuck = this.#gapAt === position.complete;
    this.#gapAt = position.complete;
    await this.#resume(ask, known, isStuck ? undefined : position.complete);
  }

  /** Ends everybody. */
  end(error: CxoError): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener.ended(error);
  }

  async #begin(ask: Ask, listener: Listener): Promise<void> {
    const since = this.#since;
    try {
      const topics = [...listener.patterns];
      const { seq } = await ask("pubsub.subscribe", since === undefined ? { topics } : { topics, since });
      const isFirst = ![...this.#listeners].some(({ from }) => from !== undefined);
      // What was read for listeners that are gone is behind by as much as nobody listened.
      const isBehind = this.#position === undefined || this.#position.complete < seq;
      if (isFirst && isBehind && since === undefined) this.#position = new Position(seq);
      listener.from = since ?? seq;
      this.#since = undefined;
      listener.agreed(listener.from);
      for (const event of listener.early ?? []) {
        if (event.seq > listener.from) guarded(() => listener.tell(event));
      }
      delete listener.early;
    } catch (error) {
      delete listener.early;
      // Without a connection it is asked for again on the next one.
      if (!(error instanceof CxoError) || error.kind === "connection_lost") return;
      this.#listeners.delete(listener);
      listener.ended(error);
    }
  }

  /** Everything that is listened to goes on in one stream, so that the order of events is the log's. */
  async #resume(ask: Ask, known: Listener[], since: number | undefined): Promise<void> {
    const topics = patternsOf(known);
    if (topics.length === 0) return;
    for (const listener of known) listener.isResumed = since !== undefined;
    const { seq } = await ask("pubsub.subscribe", since === undefined ? { topics } : { topics, since });
    const after = this.#position?.complete ?? seq;
    // A log that ends before what was read is another log.
    if (since !== undefined && seq >= since) return;
    this.#position = new Position(seq);
    for (const listener of known) Object.assign(listener, { from: seq, isResumed: false });
    this.tellGap({ after, resumedAt: seq });
  }
}

function patternsOf(listeners: Iterable<Listener>): TopicPattern[] {
  return [...new Set([...listeners].flatMap(({ patterns }) => patterns))];
}

/** What a listener throws is its own matter: it is reported as uncaught, and the others are told. */
export function guarded(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** A reader that is behind by more than it can keep. */
export function slowReader(limit: number, since: number): CxoError {
  return failure("slow_reader", "events are read more slowly than they come", {
    why: [`${limit} of them wait, and more are not kept`],
    kept: "the daemon's log has them all",
    next: [`read on from there: client.events(topics, { since: ${since} })`],
  });
}
