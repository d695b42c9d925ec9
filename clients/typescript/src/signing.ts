// Signatures by the Web Crypto API, which Node and browsers both have, and the frames that bear them.

import { type Bytes, concat, fromHex, toHex, u32, u64, utf8 } from "./bytes.js";

const HMAC = { name: "HMAC", hash: "SHA-256" };

/** `{"mac":"`, 64 digits, `","body":`. */
const BODY_AT = 81;
const HEAD = utf8('{"mac":"');
const NECK = utf8('","body":');
const TAIL = utf8("}");

/** How many bytes a signature adds to what is signed. */
export const SIGNATURE_BYTES = BODY_AT + TAIL.length;

/** HMAC-SHA-256 over fields, each behind its length, so that no two lists of fields look the same. */
export class Signer {
  private constructor(readonly key: CryptoKey) {}

  /** Takes up a key. */
  static async of(key: Bytes): Promise<Signer> {
    return new Signer(await crypto.subtle.importKey("raw", key, HMAC, false, ["sign", "verify"]));
  }

  /** The signature of the fields. */
  async sign(fields: readonly Uint8Array[]): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.key, joined(fields)));
  }

  /** Whether this is the signature of the fields, in a time that does not tell where it differs. */
  async verify(signature: Bytes, fields: readonly Uint8Array[]): Promise<boolean> {
    return crypto.subtle.verify("HMAC", this.key, signature, joined(fields));
  }
}

/** SHA-256. */
export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** Signs the frames of one direction, in the order in which it is asked. */
export class FrameSigner {
  #counter = 0n;
  constructor(private readonly signer: Signer) {}

  /** The signed frame of a body. */
  async seal(body: Uint8Array): Promise<Bytes> {
    const mac = await this.signer.sign([u64(this.#counter++), body]);
    return concat([HEAD, utf8(toHex(mac)), NECK, body, TAIL]);
  }
}

/** Checks the frames of one direction, in the order in which they come. */
export class FrameVerifier {
  #counter = 0n;
  constructor(private readonly signer: Signer) {}

  /** The body of a frame; nothing if its signature is not right. */
  async open(frame: Uint8Array): Promise<Uint8Array | undefined> {
    if (frame.length <= SIGNATURE_BYTES) return undefined;
    const mac = fromHex(String.fromCharCode(...frame.subarray(HEAD.length, HEAD.length + 64)));
    const body = frame.subarray(BODY_AT, frame.length - TAIL.length);
    const fields = [u64(this.#counter++), body];
    return mac && (await this.signer.verify(mac, fields)) ? body : undefined;
  }
}

function joined(fields: readonly Uint8Array[]): Bytes {
  return concat(fields.flatMap((field) => [u32(field.length), field]));
}
