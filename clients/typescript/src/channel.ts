// What a way to the daemon has to give: whole frames in both directions. How it does so is its own matter.

/** A connection that carries frames. */
export interface Channel {
  /** How the daemon calls the way that was taken: `uds`, `pipe`, `tcp:4711`, `ws`. */
  readonly transport: string;
  /** The frames that come; ends when the other side closes, throws when the connection breaks. */
  readonly frames: AsyncIterable<Uint8Array>;
  /** Sends a frame; resolves when more may be sent. */
  send(frame: Uint8Array): Promise<void>;
  /** Ends it at once. */
  close(): void;
}

/** A way to the daemon. */
export interface Transport {
  /** For messages: `Unix socket /run/…`. */
  readonly name: string;
  /** Connects. What it throws says why nobody could be reached. */
  connect(): Promise<Channel>;
}
