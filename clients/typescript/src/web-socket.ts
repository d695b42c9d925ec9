// The way to a daemon that browsers have: a WebSocket, with one frame in each message. The first message
// says who calls; there is no handshake and no signature, because a page has no key.

import { fromUtf8, utf8 } from "./bytes.js";
import type { Channel, Transport } from "./channel.js";
import { connectionLost, fromWire, type WireError } from "./errors.js";

/** What a browser shows: the code of a link, which works once, or the token that it became. */
export type SignIn = { code: string } | { token: string };

/** What the daemon answers to the first message. */
type SignedIn = { type: "welcome"; token?: string } | { type: "refused"; error: WireError };

/** A WebSocket at an address. A code becomes a token with the first connection, and is kept in memory only. */
export function webSocket(url: string, signIn: SignIn): Transport {
  let shown = signIn;
  // One after the other: a second connection must not show the code that the first one uses.
  let turn: Promise<unknown> = Promise.resolve();
  const connect = async (): Promise<Channel> => {
    const channel = await dial(url);
    try {
      const token = await enter(channel, shown);
      if (token !== undefined) shown = { token };
      return channel;
    } catch (error) {
      channel.close();
      throw error;
    }
  };
  return {
    name: `WebSocket ${url}`,
    connect: () => {
      const connecting = turn.then(connect);
      turn = connecting.catch(() => {});
      return connecting;
    },
  };
}

/** Shows who calls; the token that a code became. */
async function enter(channel: Channel, shown: SignIn): Promise<string | undefined> {
  const first = "code" in shown ? { type: "code", ...shown } : { type: "bearer", ...shown };
  await channel.send(utf8(JSON.stringify(first)));
  const { value, done } = await channel.frames[Symbol.asyncIterator]().next();
  if (done) throw connectionLost("the daemon closed it before the first message");
  const answer = JSON.parse(fromUtf8(value)) as SignedIn;
  if (answer.type === "refused") throw fromWire(answer.error);
  return answer.token;
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
