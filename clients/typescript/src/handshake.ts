// The handshake: both sides prove that they hold the key before anything else is said (docs/protocol.md).

import { type Bytes, fromHex, fromUtf8, toHex, utf8 } from "./bytes.js";
import type { Channel } from "./channel.js";
import { connectionLost, failure, fromWire, impostor, type WireError } from "./errors.js";
import { FrameSigner, FrameVerifier, Signer, sha256 } from "./signing.js";

/** The version of the protocol. */
export const PROTOCOL = "1.0";

const LABEL = "codex-orchestrator";

/** Who calls, and by what that is proved. */
export type Credentials =
  /** The user or a screen of the user's, by the repository's key (32 bytes). */
  | { principal: "user" | "gui"; key: Bytes }
  /** Who was given a token (64 hexadecimal digits), as `agent.register` does. */
  | { principal: `agent:${string}` | `host:${string}`; token: string };

/** What the daemon says about itself. */
export interface DaemonIdentity {
  /** The daemon's version. */
  version: string;
  /** Its process id. */
  pid: number;
}

/** What a handshake gives. */
export interface Shaken {
  daemon: DaemonIdentity;
  signer: FrameSigner;
  verifier: FrameVerifier;
}

interface Challenge extends DaemonIdentity {
  type: "challenge";
  protocol: string;
  transport: string;
  nonce: string;
  proof: string;
}

/** The frames of a connection, one at a time. */
export type Frames = AsyncIterator<Uint8Array>;

/** Goes through the handshake on a new connection. The nonce is 32 bytes that were never used before. */
export async function shakeHands(
  channel: Channel,
  frames: Frames,
  credentials: Credentials,
  nonce: Bytes = crypto.getRandomValues(new Uint8Array(32)),
): Promise<Shaken> {
  const secrets = await secretsOf(credentials);
  const { principal } = credentials;
  await send(channel, {
    type: "hello",
    protocol: PROTOCOL,
    principal,
    nonce: toHex(nonce),
    ...(secrets.token && { token: toHex(secrets.stored).slice(0, 16) }),
  });
  const challenge = parsed(await next(frames));
  if (!isChallenge(challenge)) throw impostor("it did not answer with a challenge");
  if (challenge.protocol !== PROTOCOL) {
    throw failure("daemon_newer", "the daemon speaks another protocol than this client", {
      why: [`the daemon ${challenge.version} speaks ${challenge.protocol}, this client ${PROTOCOL}`],
      next: ["npm install @codex-orchestrator/client@latest"],
    });
  }
  if (challenge.transport !== channel.transport) {
    throw impostor(`it says that the client came by ${challenge.transport}, not ${channel.transport}`);
  }
  const [daemonNonce, proof] = [fromHex(challenge.nonce), fromHex(challenge.proof)];
  if (daemonNonce?.length !== 32 || !proof) throw impostor("its challenge is malformed");
  const fields = (role: string) => [
    ...[LABEL, PROTOCOL, channel.transport, role].map(utf8),
    daemonNonce,
    nonce,
    utf8(principal),
  ];
  if (!(await (await Signer.of(secrets.stored)).verify(proof, fields("daemon")))) {
    throw impostor("it could not prove that it holds the key");
  }
  const own = await Signer.of(secrets.own);
  await send(channel, {
    type: "proof",
    proof: toHex(await own.sign(fields("client"))),
    ...(secrets.token && { token: secrets.token }),
  });
  const root = await Signer.of(await own.sign(fields("frames")));
  const direction = async (name: string) => Signer.of(await root.sign([utf8(name)]));
  const verifier = new FrameVerifier(await direction("daemon"));
  await welcomed(await next(frames), verifier);
  const { version, pid } = challenge;
  return { daemon: { version, pid }, signer: new FrameSigner(await direction("client")), verifier };
}

/** The daemon keeps only the digest of a token, so that is what it can prove with. */
async function secretsOf(credentials: Credentials) {
  if ("key" in credentials) return { own: credentials.key, stored: credentials.key };
  const own = fromHex(credentials.token);
  if (own?.length !== 32) {
    throw failure("unauthenticated", "the token is not one that a daemon gives", {
      why: ["a token has 64 hexadecimal digits in small letters"],
      kept: "nothing was sent",
      next: ["register the agent again, with agent.register"],
    });
  }
  return { own, stored: await sha256(own), token: credentials.token };
}

async function welcomed(frame: Uint8Array, verifier: FrameVerifier): Promise<void> {
  const body = await verifier.open(frame);
  if (body === undefined) {
    parsed(frame);
    throw impostor("its welcome bears a wrong signature");
  }
  if ((parsed(body) as { type?: unknown }).type !== "welcome") throw impostor("it did not welcome");
}

async function next(frames: Frames): Promise<Uint8Array> {
  const { value, done } = await frames.next();
  if (done) throw connectionLost("the daemon closed it during the handshake");
  return value;
}

function parsed(frame: Uint8Array): unknown {
  let value: { type?: unknown; error?: WireError } | null;
  try {
    value = JSON.parse(fromUtf8(frame));
  } catch {
    throw impostor("what it says is not JSON");
  }
  if (value?.type === "refused" && value.error) throw fromWire(value.error);
  return value ?? {};
}

function isChallenge(value: unknown): value is Challenge {
  const { type, protocol, transport, nonce, proof } = value as Partial<Challenge>;
  const texts = [protocol, transport, nonce, proof].every((text) => typeof text === "string");
  return type === "challenge" && texts;
}

function send(channel: Channel, message: object): Promise<void> {
  return channel.send(utf8(JSON.stringify(message)));
}
