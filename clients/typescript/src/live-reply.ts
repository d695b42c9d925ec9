// A reply that is kept as it would be now: asked for again when an event says that it may be another.

import type { Client, Given, Subscription } from "./client.js";
import type { CxoError } from "./errors.js";
import type { Method, Methods } from "./generated/methods.js";
import type { TopicPattern } from "./topics.js";

/** A reply, and how far it can be trusted. */
export interface Live<T> {
  /** The newest reply; absent before the first. */
  data?: T;
  /** Why there is no newer one. */
  error?: CxoError;
  /** Whether events keep it as it is; else it is asked for every few seconds. */
  isLive: boolean;
}

/** Events of a busy run come faster than anybody looks: a reply is asked for at most so often. */
const REST_MS = 200;

/** How often it is asked for while no events come. */
export const POLL_MS = 5_000;

/** Keeps one reply. */
export class LiveReply<M extends Method> {
  #live: Live<Methods[M]["result"]> = { isLive: false };
  #subscription: Subscription | undefined;
  #isSubscribed = false;
  #isStopped = false;
  /** Whether it is being asked for, or rests after that. */
  #isBusy = false;
  #isStale = false;
  #poll: ReturnType<typeof setInterval> | undefined;
  #off: (() => void)[];

  constructor(
    private readonly client: Client,
    private readonly method: M,
    private readonly params: Methods[M]["params"],
    private readonly topics: readonly TopicPattern[],
    private readonly changed: (live: Live<Methods[M]["result"]>) => void,
  ) {
    this.#subscribe();
    this.#off = [client.onState(() => this.#settle()), client.onGap(() => this.#refresh())];
    this.#settle();
    this.#refresh();
  }

  /** Ends it. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#poll);
    this.#subscription?.off();
    for (const off of this.#off) off();
  }

  #subscribe(): void {
    this.#subscription = this.client.on(this.topics, () => this.#refresh());
    this.#subscription.ready.then(
      () => {
        this.#isSubscribed = true;
        this.#settle();
      },
      () => {
        // The daemon refused; it may be of another mind at the next poll.
        this.#subscription = undefined;
      },
    );
  }

  /** Polls exactly while no events come. */
  #settle(): void {
    if (this.#isStopped) return;
    const isLive = this.#isSubscribed && this.client.state === "connected";
    // What changed between the last reply and the first event was told to nobody.
    if (isLive && !this.#live.isLive) this.#refresh();
    if (isLive) {
      clearInterval(this.#poll);
      this.#poll = undefined;
    } else {
      this.#poll ??= setInterval(() => this.#polled(), POLL_MS);
    }
    if (isLive !== this.#live.isLive) this.#become({ ...this.#live, isLive });
  }

  #polled(): void {
    if (!this.#subscription) this.#subscribe();
    this.#refresh();
  }

  #refresh(): void {
    if (this.#isBusy) this.#isStale = true;
    else void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isBusy = true;
    this.#isStale = false;
    const given = [this.params, { timeoutMs: POLL_MS }] as unknown as Given<M>;
    try {
      const data = await this.client.call(this.method, ...given);
      this.#become({ data, isLive: this.#live.isLive });
    } catch (error) {
      this.#become({ ...this.#live, error: error as CxoError });
    }
    setTimeout(() => {
      this.#isBusy = false;
      if (this.#isStale && !this.#isStopped) void this.#ask();
    }, REST_MS);
  }

  #become(live: Live<Methods[M]["result"]>): void {
    if (this.#isStopped) return;
    this.#live = live;
    this.changed(live);
  }
}
