// The way to a daemon that browsers have: a WebSocket, with one frame in each message.

import { fromUtf8, utf8 } from "./bytes.js";
import type { Channel, Transport } from "./channel.js";

/** A WebSocket at an address. */
export function webSocket(url: string): Transport {
  return { name: `WebSocket ${url}`, connect: () => dial(url) };
}

function dial(url: string): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const messages = new Messages();
    let isOpen = false;
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") messages.push(utf8(data));
      else socket.close(1003, "messages are texts");
    };
    socket.onclose = () => {
      messages.end();
      if (!isOpen) reject(new Error("it could not be opened"));
    };
    socket.onopen = () => {
      isOpen = true;
      resolve({
        transport: "ws",
        frames: messages,
        send: async (frame) => socket.send(fromUtf8(frame)),
        close: () => {
          socket.close();
          messages.end();
        },
      });
    };
  });
}

/** Messages as they come, until the socket closes. They are read at once, so none has to wait long. */
class Messages implements AsyncIterableIterator<Uint8Array> {
  #here: Uint8Array[] = [];
  #isOver = false;
  #changed: () => void = () => {};

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const value = this.#here.shift();
      if (value !== undefined) return { value, done: false };
      if (this.#isOver) return { value: undefined, done: true };
      await new Promise<void>((changed) => {
        this.#changed = changed;
      });
    }
  }

  push(message: Uint8Array): void {
    this.#here.push(message);
    this.#changed();
  }

  end(): void {
    this.#isOver = true;
    this.#changed();
  }
}
