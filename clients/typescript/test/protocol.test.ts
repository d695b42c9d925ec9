import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { fromHex, fromUtf8, toHex, utf8 } from "../src/bytes.js";
import type { Channel } from "../src/channel.js";
import { decodeFrames, encodeFrame, type Framing, MAX_ANSWER_BYTES } from "../src/framing.js";
import { shakeHands } from "../src/handshake.js";
import { FrameSigner, FrameVerifier, Signer } from "../src/signing.js";

const PAGE = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");

/** The example that the page shows, by how it begins. */
function example(start: string): string {
  const line = PAGE.split("\n").find((line) => line.trim().startsWith(start));
  if (!line) throw new Error(`the page has no line that begins with ${start}`);
  return line.trim();
}

const KEY = fromHex(example("000102030405"))!;
const NONCE = Uint8Array.from({ length: 32 }, (_, at) => 0x20 + at);
const WELCOME = example('{"mac":"4d19');
const CALL = example('{"mac":"ce5c');

/** A channel whose other side has said all that it will say. */
function recorded(frames: string[]): { channel: Channel; sent: string[] } {
  const sent: string[] = [];
  const channel: Channel = {
    transport: "uds",
    frames: (async function* () {
      yield* frames.map(utf8);
    })(),
    send: async (frame) => {
      sent.push(fromUtf8(frame));
    },
    close: () => {},
  };
  return { channel, sent };
}

const shake = ({ channel }: { channel: Channel }) =>
  shakeHands(channel, channel.frames[Symbol.asyncIterator](), { principal: "user", key: KEY }, NONCE);

describe("the example of docs/protocol.md", () => {
  test("[A2.3] [A8.1] the client sends its frames, byte for byte", async () => {
    const world = recorded([example('{"type":"challenge"'), WELCOME]);
    const { signer, daemon } = await shake(world);
    expect(world.sent).toEqual([example('{"type":"hello"'), example('{"type":"proof"')]);
    expect(daemon).toEqual({ version: "0.1.0", pid: 4711 });
    const call = utf8('{"id":1,"method":"daemon.status","params":{}}');
    expect(fromUtf8(await signer.seal(call))).toBe(CALL);
  });

  test("[A2.3] a challenge that is changed in one place is not answered", async () => {
    const challenge = JSON.parse(example('{"type":"challenge"'));
    const changed = [
      { proof: challenge.proof.replace(/^./, "0") },
      { nonce: challenge.nonce.replace(/^./, "5") },
      { transport: "tcp:4711" },
      { protocol: "2.0" },
    ];
    for (const change of changed) {
      const world = recorded([JSON.stringify({ ...challenge, ...change }), WELCOME]);
      await expect(shake(world)).rejects.toMatchObject({
        kind: "protocol" in change ? "daemon_newer" : "impostor",
      });
      expect(world.sent, "nothing but the hello").toHaveLength(1);
    }
  });

  test("[A2.3] a frame that is changed, repeated or left out has a wrong signature", async () => {
    const key = await Signer.of(KEY);
    const frames: Uint8Array[] = [];
    const signer = new FrameSigner(key);
    for (const body of ["1", "2", "3"]) frames.push(await signer.seal(utf8(body)));
    const [one, two, three] = frames as [Uint8Array, Uint8Array, Uint8Array];
    const open = async (...order: Uint8Array[]) => {
      const verifier = new FrameVerifier(key);
      const bodies = [];
      for (const frame of order) bodies.push(await verifier.open(frame));
      return bodies.map((body) => body && fromUtf8(body));
    };
    expect(await open(one, two, three)).toEqual(["1", "2", "3"]);
    expect(await open(one, one)).toEqual(["1", undefined]);
    expect(await open(one, three)).toEqual(["1", undefined]);
    expect(await open(utf8(fromUtf8(one).replace(":1}", ":2}")))).toEqual([undefined]);
    expect(await open(utf8("{}"))).toEqual([undefined]);
  });
});

describe("frames", () => {
  async function* inPieces(bytes: Uint8Array, size: number) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const read = async (chunks: AsyncIterable<Uint8Array>, framing: Framing) => {
    const texts = [];
    for await (const frame of decodeFrames(chunks, framing)) texts.push(fromUtf8(frame));
    return texts;
  };

  test("[A1.6] lines and lengths are read however they are cut", async () => {
    expect(toHex(encodeFrame(utf8('{"id":1}'), "lengths"))).toBe(
      example("08 00 00 00").replaceAll(" ", ""),
    );
    const texts = ['{"id":1}', "", "ä".repeat(500), '{"id":2}'];
    for (const framing of ["lines", "lengths"] as const) {
      const stream = Buffer.concat(texts.map((text) => encodeFrame(utf8(text), framing)));
      for (const size of [1, 2, 3, 5, 7, 1024, stream.length]) {
        expect(await read(inPieces(stream, size), framing), `${framing} by ${size}`).toEqual(texts);
      }
      await expect(read(inPieces(stream.subarray(0, -1), 9), framing)).rejects.toThrow("middle");
    }
  });

  test("[A1.6] a frame beyond the limit is refused before it is there", async () => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(MAX_ANSWER_BYTES + 1);
    await expect(read(inPieces(length, 4), "lengths")).rejects.toThrow("longer than any answer");
    const endless = (async function* () {
      for (;;) yield Buffer.alloc(1 << 20, "x");
    })();
    await expect(read(endless, "lines")).rejects.toThrow("longer than any answer");
  });
});
