import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Client, createClient, type NodeOptions } from "../src/index.js";
import { FakeDaemon, KEY, Refusal, SILENCE } from "./fake-daemon.js";

const USER = { principal: "user", key: new Uint8Array(KEY) } as const;
const SOON = { baseMs: 1, capMs: 5 };

let daemon: FakeDaemon;
const clients: Client[] = [];

const client = (options: NodeOptions = {}) => {
  const made = createClient({ socket: daemon.socket, credentials: USER, backoff: SOON, ...options });
  clients.push(made);
  return made;
};

beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  for (const made of clients.splice(0)) made.close();
  await daemon.remove();
});

describe("a call", () => {
  test("[A1.6] [A1.7] is understood in both framings and both envelopes", async () => {
    daemon.handlers["lock.status"] = ({ path }) => ({ locked: path === "a" });
    for (const framing of ["lines", "lengths"] as const) {
      for (const envelope of ["jsonrpc", "plain"] as const) {
        const here = client({ framing, envelope });
        expect(await here.call("lock.status", { path: "a" })).toEqual({ locked: true });
        expect(daemon.requests.at(-1)?.jsonrpc).toBe(envelope === "jsonrpc" ? "2.0" : undefined);
        expect([...daemon.peers].at(-1)?.framing).toBe(framing);
      }
    }
  });

  test("[A5.1] that is refused says who holds what, when to try again and what to do", async () => {
    const data = { kind: "lock_held", holder: "s1", retry_after: 7, next: ["cxo lock status"], why: ["x"] };
    daemon.handlers["lock.acquire"] = () => new Refusal(409, data);
    await expect(client().call("lock.acquire", { path: "a" })).rejects.toMatchObject({
      name: "CxoError",
      code: 409,
      kind: "lock_held",
      message: "lock.acquire is refused",
      holder: "s1",
      retryAfter: 7,
      next: ["cxo lock status"],
      why: ["x"],
    });
  });

  test("[A8.1] many at once get each their own answer, in whatever order", async () => {
    daemon.handlers["fs.read"] = ({ path }) => ({ content: path });
    const here = client();
    const paths = Array.from({ length: 100 }, (_, at) => `${at}`);
    const read = await Promise.all(paths.map((path) => here.call("fs.read", { path })));
    expect(read.map(({ content }) => content)).toEqual(paths);
    expect(daemon.accepted, "all by one connection").toBe(1);
  });

  test("[A8.1] that is not answered ends with its time, and one that nobody wants any more at once", async () => {
    daemon.handlers["status.get"] = () => SILENCE;
    const here = client();
    await expect(here.call("status.get", {}, { timeoutMs: 20 })).rejects.toMatchObject({ kind: "timeout" });
    const stop = new AbortController();
    const call = here.call("status.get", {}, { signal: stop.signal });
    await daemon.until(() => daemon.of("status.get").length === 2);
    stop.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
    await expect(here.call("status.get", {}, { signal: stop.signal })).rejects.toThrow("enough");
  });

  test("[A1.6] larger than a request may be is not sent", async () => {
    const content = "x".repeat(1 << 20);
    await expect(client().call("fs.write", { path: "a", content })).rejects.toMatchObject({
      code: 413,
      kind: "too_large",
    });
    expect(daemon.requests).toEqual([]);
  });

  test("[A6.2] [A8.1] is sent again over a new connection if that cannot do harm, and else fails", async () => {
    const here = client();
    daemon.handlers["lock.acquire"] = () => SILENCE;
    daemon.handlers["status.get"] = () => SILENCE;
    const kept = here.call("lock.acquire", { path: "a" }, { idemKey: "k1" });
    const read = here.call("status.get");
    const lost = here.call("lock.acquire", { path: "b" });
    const failed = expect(lost).rejects.toMatchObject({ kind: "connection_lost" });
    await daemon.until(() => daemon.requests.length === 3);
    await daemon.kill();
    await failed;
    daemon.handlers["lock.acquire"] = ({ path }) => ({ success: true, message: path });
    daemon.handlers["status.get"] = () => ({ server_version: "2" });
    await daemon.listen();
    expect(await kept).toMatchObject({ message: "a" });
    expect(await read).toMatchObject({ server_version: "2" });
    const keys = daemon.of("lock.acquire").map(({ params, idem_key }) => [params.path, idem_key]);
    expect(keys).toEqual([["a", "k1"], ["b", undefined], ["a", "k1"]]);
  });

  test("[A8.1] waits for a daemon that is away, and says why when it does not come", async () => {
    await daemon.kill();
    const here = client();
    const away = here.call("status.get", {}, { timeoutMs: 50 });
    await expect(away).rejects.toMatchObject({ kind: "no_daemon", next: ["cxo daemon start"] });
    const late = here.call("status.get");
    await daemon.listen();
    expect(await late).toMatchObject({ server_version: "0.0.0" });
  });

  test("after the client was closed fails, and so do those that wait", async () => {
    daemon.handlers["status.get"] = () => SILENCE;
    const here = client();
    const waiting = expect(here.call("status.get")).rejects.toMatchObject({ kind: "closed" });
    await daemon.until(() => daemon.requests.length === 1);
    here.close();
    await waiting;
    await expect(here.call("status.get")).rejects.toMatchObject({ kind: "closed" });
    await daemon.until(() => daemon.peers.size === 0);
    expect(here.state).toBe("closed");
  });
});

describe("who calls", () => {
  test("[A2.3] a daemon without the key, or with a wrong way or signature, is asked nothing", async () => {
    daemon.key = Buffer.alloc(32, 1);
    await expect(client().call("status.get")).rejects.toMatchObject({ kind: "impostor" });
    daemon.key = KEY;
    daemon.spoil = (message) => ({ ...message, transport: "tcp:1" });
    await expect(client().call("status.get")).rejects.toMatchObject({ kind: "impostor" });
    daemon.spoil = (message) => (message.type === "challenge" ? message : { type: "other" });
    await expect(client().call("status.get")).rejects.toMatchObject({ kind: "impostor" });
    expect(daemon.requests).toEqual([]);
  });

  test("[A2.5] an agent proves itself by its token, and shows it to the daemon only", async () => {
    const token = Buffer.alloc(32, 9);
    daemon.tokens = { "agent:a1": token };
    const agent = client({ credentials: { principal: "agent:a1", token: token.toString("hex") } });
    expect(await agent.call("status.get")).toMatchObject({ server_version: "0.0.0" });
    const unknown = client({ credentials: { principal: "agent:a2", token: token.toString("hex") } });
    await expect(unknown.call("status.get")).rejects.toMatchObject({ kind: "impostor" });
    const other = client({ credentials: { principal: "agent:a1", token: "00" } });
    await expect(other.call("status.get")).rejects.toMatchObject({ kind: "unauthenticated" });
  });

  test("[A2.7] without credentials there is no handshake", async () => {
    daemon.handshake = false;
    const agent = client({ credentials: "none" });
    expect(await agent.call("status.get")).toMatchObject({ server_version: "0.0.0" });
    process.env.CXO_SOCKET = daemon.socket;
    try {
      const own = createClient();
      clients.push(own);
      expect(await own.call("status.get"), "on its own socket").toMatchObject({ server_version: "0.0.0" });
    } finally {
      delete process.env.CXO_SOCKET;
    }
  });
});
