// Which events a pattern covers, and which of those that come are new.

import type { Topics } from "./generated/topics.js";
import type { Timestamp } from "./generated/types.js";

/** The name of a topic. */
export type Topic = keyof Topics;

/** The part of a topic before its dot. */
type Family<T extends string> = T extends `${infer Start}.${string}` ? Start : never;

/** A topic, all topics of a family (`task.*`), or all (`*`). */
export type TopicPattern = Topic | `${Family<Topic>}.*` | "*";

/** The topics that a pattern covers. */
export type Covered<P extends TopicPattern> = P extends "*"
  ? Topic
  : P extends `${infer Start}.*`
    ? Extract<Topic, `${Start}.${string}`>
    : Extract<P, Topic>;

/** An event, as it is pushed. */
export type TopicEvent<T extends Topic = Topic> = {
  [K in T]: {
    topic: K;
    data: Topics[K];
    /** When it happened, in milliseconds since 1970. */
    timestamp: Timestamp;
    /** Its position in the log. What one fact tells under several topics has one position. */
    seq: number;
  };
}[T];

/** Events after a position that will not come any more. */
export interface Gap {
  /** The last position up to which everything came. */
  after: number;
  /** The position from which on events come again. */
  resumedAt: number;
}

/** Whether a pattern covers a topic. */
export function covers(pattern: TopicPattern, topic: string): boolean {
  return pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : pattern === topic;
}

/**
 * How far a stream of events was read. Several events can bear one position, and a connection can
 * break between them: so it remembers what came at the newest position, and goes on from the one
 * before it.
 */
export class Position {
  #newest: number;
  #atNewest = new Set<string>();

  constructor(
    /** Everything up to here came. */
    public complete: number,
  ) {
    this.#newest = complete;
  }

  /** Whether an event is new; if so, it counts as come. */
  take(event: TopicEvent): boolean {
    const content = JSON.stringify([event.topic, event.data]);
    if (event.seq < this.#newest) return false;
    if (event.seq === this.#newest) {
      if (this.#atNewest.has(content)) return false;
      this.#atNewest.add(content);
      return true;
    }
    this.complete = event.seq - 1;
    this.#newest = event.seq;
    this.#atNewest = new Set([content]);
    return true;
  }
}
