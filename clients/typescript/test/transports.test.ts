import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket as NodeWebSocket, WebSocketServer } from "ws";

import { createClient as createBrowserClient } from "../src/browser.js";
import { connect } from "../src/index.js";
import { readKey } from "../src/key-file.js";
import { portOf } from "../src/sockets.js";
import { FakeDaemon, KEY } from "./fake-daemon.js";

const ID = "abcdefghijkl";

let daemon: FakeDaemon;
let before: NodeJS.ProcessEnv;

/** A state directory, a runtime directory and a key, as a daemon would have made them. */
async function places(): Promise<string> {
  const at = (name: string) => join(daemon.folder, name);
  const runtime = join(at("run"), "codex-orch", ID);
  const keys = join(at("state-home"), "codex-orch", "keys");
  for (const folder of [at("state"), runtime, keys]) await mkdir(folder, { recursive: true });
  await writeFile(join(at("state"), "id"), ID);
  await writeFile(join(keys, ID), KEY, { mode: 0o600 });
  Object.assign(process.env, { XDG_RUNTIME_DIR: at("run"), XDG_STATE_HOME: at("state-home") });
  process.env.CXO_STATE_DIR = at("state");
  return runtime;
}

beforeEach(async () => {
  before = { ...process.env };
  daemon = await FakeDaemon.start("none");
});
afterEach(async () => {
  process.env = before;
  await daemon.remove();
});

const version = async (transport?: "auto" | "uds" | "pipe" | "tcp") => {
  const client = await connect(transport ? { transport } : {});
  const { server_version } = await client.call("status.get");
  client.close();
  return server_version;
};

describe("auto", () => {
  test("[A1.4] [A8.1] takes the Unix socket, and falls through to TCP when nobody lives there", async () => {
    const runtime = await places();
    await daemon.listen("tcp");
    const port = join(runtime, "daemon.port");
    await symlink(daemon.portFile, port);
    expect(await version(), "no socket at all").toBe("0.0.0");
    await writeFile(join(runtime, "daemon.sock"), "");
    expect(await version("auto"), "something that is no socket").toBe("0.0.0");
    await expect(version("uds")).rejects.toMatchObject({ kind: "no_daemon" });
    await expect(version("pipe")).rejects.toMatchObject({
      kind: "no_daemon",
      why: [expect.stringContaining("no named pipes")],
    });
    expect(await version("tcp")).toBe("0.0.0");
    process.env.CXO_SERVER_TRANSPORT = "uds";
    await expect(version()).rejects.toMatchObject({ kind: "no_daemon" });
  });

  test("[A1.4] says of every way why it failed", async () => {
    const runtime = await places();
    await expect(version()).rejects.toMatchObject({
      kind: "no_daemon",
      why: [
        expect.stringContaining(join(runtime, "daemon.sock")),
        expect.stringContaining("named pipe"),
        expect.stringContaining("daemon.port"),
      ],
      next: ["cxo daemon start"],
    });
  });
});

describe("TCP", () => {
  test("[A1.2] leads to this machine or nowhere", () => {
    expect(portOf("4711\n")).toEqual({ host: "127.0.0.1", port: 4711 });
    expect(portOf("127.0.0.1:4711")).toEqual({ host: "127.0.0.1", port: 4711 });
    expect(portOf("[::1]:4711")).toEqual({ host: "::1", port: 4711 });
    const bad = ["0.0.0.0:80", "10.0.0.1:80", "127.evil.org:80", "[::]:80", "65536", "0", "-1", "", "x"];
    for (const text of bad) expect(() => portOf(text), text).toThrow("not this repository's daemon");
  });
});

describe("the key file", () => {
  test("[A2.1] is refused, with the fix, if it is not the user's own alone", async () => {
    const at = (name: string) => join(daemon.folder, name);
    const write = async (name: string, bytes: Uint8Array, mode: number) => {
      await writeFile(at(name), bytes);
      await chmod(at(name), mode);
    };
    await write("key", KEY, 0o600);
    expect(Buffer.from(await readKey(at("key")))).toEqual(KEY);
    await write("open", KEY, 0o640);
    await expect(readKey(at("open"))).rejects.toMatchObject({
      kind: "unsafe_key",
      why: ["others can reach it (mode 0640)"],
      next: [expect.stringContaining("chmod 600")],
    });
    await write("short", KEY.subarray(1), 0o600);
    await expect(readKey(at("short"))).rejects.toMatchObject({ kind: "unsafe_key" });
    await symlink(at("key"), at("link"));
    await expect(readKey(at("link"))).rejects.toMatchObject({ kind: "unsafe_key", why: ["it is a link"] });
    await expect(readKey(daemon.folder)).rejects.toMatchObject({ kind: "unsafe_key" });
    await expect(readKey(at("none"))).rejects.toMatchObject({ kind: "no_daemon" });
  });
});

describe("in a browser", () => {
  test("[A8.1] the same client goes over a WebSocket and comes back when it breaks", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await new Promise((listening) => server.once("listening", listening));
    const methods: string[] = [];
    server.on("connection", (socket) => {
      socket.on("message", (data) => {
        const { id, method, type, ...shown } = JSON.parse(String(data));
        methods.push(method ?? shown);
        if (type) return socket.send(JSON.stringify({ type: "welcome", ...(shown.code && { token: "t" }) }));
        socket.send(JSON.stringify({ jsonrpc: "2.0", id, result: { success: true, seq: 0 } }));
      });
    });
    const { port } = server.address() as { port: number };
    globalThis.WebSocket ??= NodeWebSocket as unknown as typeof WebSocket;
    const client = createBrowserClient({
      url: `ws://127.0.0.1:${port}/ws`,
      signIn: { code: "c" },
      backoff: { baseMs: 1, capMs: 5 },
    });
    try {
      await client.on("*", () => {}).ready;
      const again = new Promise<void>((connected) => {
        client.onState((state) => state === "connected" && connected());
      });
      for (const socket of server.clients) socket.terminate();
      await again;
      await client.call("status.get");
      const [code, token] = [{ code: "c" }, { token: "t" }];
      expect(methods).toEqual([code, "pubsub.subscribe", token, "pubsub.subscribe", "status.get"]);
    } finally {
      client.close();
      await new Promise((closed) => server.close(closed));
    }
  });
});
