// A daemon for tests: it speaks docs/protocol.md by Node's own means, shares no code with the client,
// and does what a test wants at the moment that the test wants.

import { createHash, createHmac, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at));

type Message = Record<string, any>;
type Handler = (params: any, request: Message, peer: Peer) => unknown;

export interface LoggedEvent {
  topic: string;
  data: object;
  timestamp: number;
  seq: number;
}

/** An error that a handler answers with. */
export class Refusal {
  constructor(
    readonly code: number,
    readonly data: Message,
  ) {}
}

/** What a handler answers with when it never answers. */
export const SILENCE = Symbol("silence");

export const sign = (key: Buffer, fields: (string | Buffer)[]): Buffer => {
  const hmac = createHmac("sha256", key);
  for (const field of fields.map((field) => Buffer.from(field))) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(field.length);
    hmac.update(length).update(field);
  }
  return hmac.digest();
};

export class FakeDaemon {
  /** What came, in its order: requests with their envelope. */
  readonly requests: Message[] = [];
  readonly handlers: Record<string, Handler> = {};
  readonly log: LoggedEvent[] = [];
  readonly peers = new Set<Peer>();
  /** Connections that were ever accepted. */
  accepted = 0;
  key = KEY;
  /** Tokens by principal. */
  tokens: Record<string, Buffer> = {};
  /** Whether connections begin with the handshake. */
  handshake = true;
  /** The last step of the handshake that is done right. */
  spoil: (message: Message) => Message = (message) => message;
  readonly socket: string;
  readonly portFile: string;
  #server: Server | undefined;
  #waiting: { isThere: () => boolean; resolve: () => void }[] = [];

  private constructor(readonly folder: string) {
    this.socket = join(folder, "daemon.sock");
    this.portFile = join(folder, "daemon.port");
    this.handlers["pubsub.subscribe"] = (params, request, peer) => peer.subscribe(params, request);
    this.handlers["pubsub.unsubscribe"] = (params, _, peer) => peer.unsubscribe(params);
    this.handlers["status.get"] = () => ({ server_version: "0.0.0" });
  }

  static async start(way: "uds" | "tcp" | "none" = "uds"): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(join(tmpdir(), "cxo-client-")));
    if (way !== "none") await daemon.listen(way);
    return daemon;
  }

  async listen(way: "uds" | "tcp" = "uds"): Promise<void> {
    const server = createServer((socket) => {
      this.accepted += 1;
      this.peers.add(new Peer(this, socket, way === "uds" ? "uds" : `tcp:${socket.localPort}`));
      this.changed();
    });
    this.#server = server;
    await new Promise<void>((listening) => {
      if (way === "uds") server.listen(this.socket, listening);
      else server.listen(0, "127.0.0.1", listening);
    });
    if (way === "tcp") await writeFile(this.portFile, `${(server.address() as AddressInfo).port}\n`);
  }

  /** Ends as a killed process does: no farewell. */
  async kill(): Promise<void> {
    for (const peer of this.peers) peer.drop();
    const server = this.#server;
    if (server?.listening) await new Promise((closed) => server.close(closed));
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Puts a fact into the log, told as these topics, and pushes it. */
  commit(...news: [topic: string, data: object][]): void {
    const seq = (this.log.at(-1)?.seq ?? 0) + 1;
    for (const [topic, data] of news) {
      const event = { topic, data, timestamp: 1_800_000_000_000, seq };
      this.log.push(event);
      for (const peer of this.peers) peer.push(event);
    }
  }

  /** Waits until something is so. */
  until(isThere: () => boolean): Promise<void> {
    if (isThere()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ isThere, resolve }));
  }

  /** Requests of a method. */
  of(method: string): Message[] {
    return this.requests.filter((request) => request.method === method);
  }

  changed(): void {
    for (const waiting of this.#waiting.filter(({ isThere }) => isThere())) {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      waiting.resolve();
    }
  }
}

/** A client, as the daemon sees it. */
export class Peer {
  readonly topics = new Set<string>();
  framing: "lines" | "lengths" | undefined;
  envelope: Message = {};
  #read = Buffer.alloc(0);
  #step: (message: Message) => void;
  #frames: { client: Buffer; daemon: Buffer } | undefined;
  #counters = { client: 0n, daemon: 0n };

  constructor(
    private readonly daemon: FakeDaemon,
    private readonly connection: Socket,
    private readonly transport: string,
  ) {
    this.#step = daemon.handshake ? (hello) => this.#hello(hello) : (call) => this.#answer(call);
    connection.on("data", (chunk) => this.#take(chunk));
    connection.on("error", () => {});
    connection.on("close", () => {
      daemon.peers.delete(this);
      daemon.changed();
    });
  }

  drop(): void {
    this.connection.destroy();
    this.daemon.peers.delete(this);
  }

  send(message: Message): void {
    const body = JSON.stringify(message);
    if (!this.#frames) return this.#write(body);
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(this.#counters.daemon++);
    const mac = sign(this.#frames.daemon, [number, body]).toString("hex");
    this.#write(`{"mac":"${mac}","body":${body}}`);
  }

  /** Sends a text as a frame, whatever it is. */
  #write(text: string): void {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    this.connection.write(this.framing === "lengths" ? Buffer.concat([length, bytes]) : `${text}\n`);
  }

  push(event: LoggedEvent): void {
    if ([...this.topics].some((pattern) => covers(pattern, event.topic))) {
      this.send({ ...this.envelope, method: "pubsub.event", params: event });
    }
  }

  subscribe({ topics, since }: { topics: string[]; since?: number }, { jsonrpc }: Message): object {
    this.envelope = jsonrpc ? { jsonrpc } : {};
    for (const topic of topics) this.topics.add(topic);
    const missed = this.daemon.log.filter(
      ({ topic, seq }) =>
        since !== undefined && seq > since && topics.some((pattern) => covers(pattern, topic)),
    );
    queueMicrotask(() => {
      for (const event of missed) this.send({ ...this.envelope, method: "pubsub.event", params: event });
    });
    return { success: true, seq: this.daemon.log.at(-1)?.seq ?? 0 };
  }

  unsubscribe({ topics }: { topics: string[] }): object {
    for (const topic of topics) this.topics.delete(topic);
    return { success: true };
  }

  #take(chunk: Buffer): void {
    this.#read = Buffer.concat([this.#read, chunk]);
    if (this.#read.length >= 4) this.framing ??= this.#read.subarray(0, 4).includes(0) ? "lengths" : "lines";
    for (let frame = this.#next(); frame; frame = this.#next()) this.#step(this.#opened(frame));
    this.daemon.changed();
  }

  #next(): Buffer | undefined {
    const counted = this.framing === "lengths";
    if (counted && this.#read.length < 4) return undefined;
    const from = counted ? 4 : 0;
    const end = counted ? 4 + this.#read.readUInt32LE() : this.#read.indexOf("\n");
    if (end < 0 || end > this.#read.length) return undefined;
    const frame = this.#read.subarray(from, end);
    this.#read = this.#read.subarray(counted ? end : end + 1);
    return frame;
  }

  #opened(frame: Buffer): Message {
    if (!this.#frames) return JSON.parse(frame.toString());
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(this.#counters.client++);
    const body = frame.subarray(81, -1).toString();
    const mac = sign(this.#frames.client, [number, body]).toString("hex");
    if (frame.toString() !== `{"mac":"${mac}","body":${body}}`) throw new Error("a wrong signature");
    return JSON.parse(body);
  }

  #hello({ type, protocol, principal, nonce, token: shown }: Message): void {
    if (type !== "hello" || protocol !== "1.0") throw new Error("no hello");
    const token = this.daemon.tokens[principal];
    const stored = token ? createHash("sha256").update(token).digest() : this.daemon.key;
    if (token && shown !== stored.toString("hex").slice(0, 16)) throw new Error("a wrong token");
    const own = randomBytes(32);
    const fields = (role: string) => [
      ...["codex-orchestrator", "1.0", this.transport, role],
      own,
      Buffer.from(nonce, "hex"),
      principal,
    ];
    const { transport } = this;
    const proof = sign(stored, fields("daemon")).toString("hex");
    const about = { protocol: "1.0", version: "0.1.0", pid: 4711 };
    this.#step = (message) => {
      const key = token ?? this.daemon.key;
      const isRight = message.proof === sign(key, fields("client")).toString("hex");
      if (!isRight || message.token !== token?.toString("hex")) {
        const data = { kind: "unauthenticated", next: ["cxo key rotate"] };
        const error = { code: 401, message: "the proof is wrong", data };
        return this.send({ type: "refused", error });
      }
      const root = sign(key, fields("frames"));
      this.#frames = { client: sign(root, ["client"]), daemon: sign(root, ["daemon"]) };
      this.#step = (call) => this.#answer(call);
      this.send(this.daemon.spoil({ type: "welcome" }));
    };
    this.send(
      this.daemon.spoil({ type: "challenge", ...about, transport, nonce: own.toString("hex"), proof }),
    );
  }

  #answer(request: Message): void {
    this.daemon.requests.push(request);
    const { jsonrpc, id, method, params } = request;
    const handler = this.daemon.handlers[method];
    const given = handler
      ? handler(params, request, this)
      : new Refusal(-32601, { kind: "no_such_method", next: ["cxo --help"] });
    if (given === SILENCE) return;
    const answer =
      given instanceof Refusal
        ? { error: { code: given.code, message: `${method} is refused`, data: given.data } }
        : { result: given };
    this.send(jsonrpc ? { jsonrpc, id, ...answer } : { id, result: null, error: null, ...answer });
  }
}

function covers(pattern: string, topic: string): boolean {
  return pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : pattern === topic;
}
