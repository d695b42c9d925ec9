// One connection: a channel after its handshake, which carries messages as JSON. It knows no methods.

import { fromUtf8, utf8 } from "./bytes.js";
import type { Channel } from "./channel.js";
import { failure, impostor } from "./errors.js";
import { MAX_REQUEST_BYTES } from "./framing.js";
import { type Credentials, type DaemonIdentity, type Shaken, shakeHands } from "./handshake.js";
import { SIGNATURE_BYTES } from "./signing.js";

/** How long connecting may take, the handshake included. The daemon waits as long. */
export const CONNECT_WITHIN_MS = 5_000;

/** An open connection. */
export class Connection {
  #sent: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly channel: Channel,
    private readonly frames: AsyncIterator<Uint8Array>,
    private readonly shaken: Shaken | undefined,
  ) {}

  /** Goes through the handshake. Without credentials there is none, and frames are not signed. */
  static async open(channel: Channel, credentials: Credentials | undefined): Promise<Connection> {
    const frames = channel.frames[Symbol.asyncIterator]();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      channel.close();
    }, CONNECT_WITHIN_MS);
    try {
      const shaken = credentials && (await shakeHands(channel, frames, credentials));
      return new Connection(channel, frames, shaken);
    } catch (error) {
      channel.close();
      if (late) throw new Error(`no answer within ${CONNECT_WITHIN_MS / 1000} s`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Who answers; unknown without a handshake. */
  get daemon(): DaemonIdentity | undefined {
    return this.shaken?.daemon;
  }

  /** Sends a message behind those that were sent before. */
  send(message: object): Promise<void> {
    const body = utf8(JSON.stringify(message));
    if (body.length + SIGNATURE_BYTES > MAX_REQUEST_BYTES) {
      throw failure("too_large", "the request is too large", {
        why: [`a request has at most ${MAX_REQUEST_BYTES} bytes`],
        kept: "nothing was sent",
        next: ["send it in smaller pieces"],
      });
    }
    const sending = this.#sent.then(async () => {
      await this.channel.send(this.shaken ? await this.shaken.signer.seal(body) : body);
    });
    this.#sent = sending.catch(() => {});
    return sending;
  }

  /** The messages that come, until the other side closes. */
  async *messages(): AsyncGenerator<unknown> {
    for (;;) {
      const { value: frame, done } = await this.frames.next();
      if (done) return;
      const body = this.shaken ? await this.shaken.verifier.open(frame) : frame;
      if (body === undefined) throw impostor("a frame bears a wrong signature");
      yield JSON.parse(fromUtf8(body));
    }
  }

  /** Ends it at once. */
  close(): void {
    this.channel.close();
  }
}
