// Events as an async iterator.

import type { CxoError } from "./errors.js";
import { slowReader } from "./subscriptions.js";

/** Events that wait for their reader: some seconds of a large run. Who is further behind reads the log. */
export const MAX_WAITING_EVENTS = 10_000;

/** Listens, and answers how to stop. */
type Listen<E> = (tell: (event: E) => void, ended: (error: CxoError) => void) => () => void;

/** Events, one behind the other, until the reader leaves the loop. Listening begins with the iterator. */
export class EventStream<E extends { seq: number }> implements AsyncIterableIterator<E> {
  #waiting: E[] = [];
  #wanted: { resolve: (result: IteratorResult<E>) => void; reject: (error: unknown) => void }[] = [];
  #end: { error?: CxoError } | undefined;
  readonly #stop: () => void;

  constructor(listen: Listen<E>) {
    this.#stop = listen(
      (event) => this.#tell(event),
      (error) => this.#finish({ error }),
    );
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event. */
  next(): Promise<IteratorResult<E>> {
    const value = this.#waiting.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    const end = this.#end;
    if (end?.error) {
      this.#end = {};
      return Promise.reject(end.error);
    }
    if (end) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#wanted.push({ resolve, reject }));
  }

  /** Ends it. */
  return(): Promise<IteratorResult<E>> {
    this.#waiting = [];
    this.#finish({});
    this.#stop();
    return Promise.resolve({ value: undefined, done: true });
  }

  #tell(event: E): void {
    if (this.#end) return;
    const wanted = this.#wanted.shift();
    if (wanted) return wanted.resolve({ value: event, done: false });
    if (this.#waiting.length < MAX_WAITING_EVENTS) {
      this.#waiting.push(event);
      return;
    }
    // What bears the same position is left to be read again together.
    this.#waiting = this.#waiting.filter(({ seq }) => seq < event.seq);
    this.#finish({ error: slowReader(MAX_WAITING_EVENTS, event.seq - 1) });
    this.#stop();
  }

  #finish(end: { error?: CxoError }): void {
    this.#end ??= end;
    const { error } = this.#end;
    for (const { resolve, reject } of this.#wanted.splice(0)) {
      if (error) reject(error);
      else resolve({ value: undefined, done: true });
    }
  }
}
