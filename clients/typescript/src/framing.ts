// Frames over a stream of bytes: lines, or texts behind their length. It knows nothing of what is in them.

import { type Bytes, concat, u32 } from "./bytes.js";

/** How texts are told apart on a stream: by the line end behind each, or by the length before it. */
export type Framing = "lines" | "lengths";

/** The longest frame that is sent: longer ones the daemon refuses. */
export const MAX_REQUEST_BYTES = 1 << 20;

/** The longest frame that is read. */
export const MAX_ANSWER_BYTES = (1 << 24) - 1;

const NEWLINE = 10;

/** A text as a frame. */
export function encodeFrame(text: Uint8Array, framing: Framing): Bytes {
  switch (framing) {
    case "lines":
      return concat([text, Uint8Array.of(NEWLINE)]);
    case "lengths":
      return concat([u32(text.length), text]);
  }
}

/** The frames of a stream, as they arrive. A stream that ends in the middle of one throws. */
export async function* decodeFrames(
  chunks: AsyncIterable<Uint8Array>,
  framing: Framing,
): AsyncGenerator<Uint8Array> {
  const pending = new Pending();
  for await (const chunk of chunks) {
    pending.push(chunk);
    for (let frame = pending.take(framing); frame; frame = pending.take(framing)) yield frame;
  }
  if (pending.length > 0) throw new Error("the stream ended in the middle of a frame");
}

/** Bytes that are not a whole frame yet. They are joined once per frame, however many chunks it came in. */
class Pending {
  length = 0;
  #chunks: Uint8Array[] = [];
  /** How many bytes are known to hold no newline. */
  #searched = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  take(framing: Framing): Uint8Array | undefined {
    return framing === "lines" ? this.#line() : this.#counted();
  }

  #line(): Uint8Array | undefined {
    let before = 0;
    for (const chunk of this.#chunks) {
      const from = Math.max(this.#searched - before, 0);
      const at = from < chunk.length ? chunk.indexOf(NEWLINE, from) : -1;
      before += chunk.length;
      if (at >= 0) {
        this.#searched = 0;
        const line = this.#cut(before - chunk.length + at + 1);
        return checked(line.length - 1) && line.subarray(0, -1);
      }
    }
    this.#searched = before;
    checked(before);
    return undefined;
  }

  #counted(): Uint8Array | undefined {
    if (this.length < 4) return undefined;
    const head = this.#chunks[0]!.length >= 4 ? this.#chunks[0]! : this.#join();
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0, true);
    checked(length);
    return this.length < 4 + length ? undefined : this.#cut(4 + length).subarray(4);
  }

  #join(): Uint8Array {
    const all = concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }

  #cut(count: number): Uint8Array {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : this.#join();
    this.#chunks = count < all.length ? [all.subarray(count)] : [];
    this.length -= count;
    return all.subarray(0, count);
  }
}

function checked(length: number): true {
  if (length > MAX_ANSWER_BYTES) {
    throw new Error(`a frame of ${length} bytes is longer than any answer`);
  }
  return true;
}
