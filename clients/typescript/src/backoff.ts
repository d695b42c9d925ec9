// How long to wait before the next try at connecting.

/** The bounds of the wait. */
export interface Backoff {
  /** The longest first wait, in milliseconds. */
  baseMs: number;
  /** The longest wait of all, in milliseconds. */
  capMs: number;
}

/** Soon enough that a restart is hardly noticed, seldom enough that an idle machine is not woken. */
export const DEFAULT_BACKOFF: Backoff = { baseMs: 100, capMs: 10_000 };

/**
 * Exponential backoff with full jitter: anything up to twice as long as before, so that clients that
 * lost the same daemon do not all come back at the same instant. Tries are counted from 0.
 */
export function waitMs(tries: number, { baseMs, capMs }: Backoff, random = Math.random): number {
  return random() * Math.min(capMs, baseMs * 2 ** tries);
}
