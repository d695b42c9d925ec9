// The way of browsers against the real daemon: the client over its WebSocket, and a real browser whose pages
// try to reach it from elsewhere.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket as NodeWebSocket } from "ws";

import { createClient } from "../src/browser.js";
import { type Client, connect } from "../src/index.js";
import { Repository } from "./repository.js";

/** The browser: any Chromium of this machine. */
const CHROMIUM = [process.env.CXO_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
  (path) => path && existsSync(path),
);

let repository: Repository;
let user: Client;
let before: NodeJS.ProcessEnv;
let port: number;

beforeEach(async () => {
  before = { ...process.env };
  repository = await Repository.make();
  repository.env.CXO_SERVER_HTTP_PORT = "0";
  Object.assign(process.env, repository.env);
  await repository.start();
  user = await connect({ cwd: repository.path });
  const { http_port } = await user.call("daemon.status");
  port = http_port ?? 0;
});
afterEach(async () => {
  user.close();
  await repository.remove();
  process.env = before;
});

const newCode = async () => {
  const { url } = await user.call("dashboard.link");
  expect(url).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${port}/#code=[0-9a-f]{64}$`));
  return url.split("#code=")[1] ?? "";
};

describe("the client of browsers", () => {
  /** What a browser adds by itself: the origin of the page. */
  class PageSocket extends NodeWebSocket {
    constructor(url: string) {
      super(url, { origin: new URL(url).origin.replace("ws", "http") });
      // A browser's socket tells of it by closing, too.
      this.on("error", () => {});
    }
  }

  test("[A8.1] [A2.5] signs in by a link, once, and comes back by its token", async () => {
    globalThis.WebSocket = PageSocket as unknown as typeof WebSocket;
    const code = await newCode();
    const options = { url: `ws://127.0.0.1:${port}/ws`, backoff: { baseMs: 5, capMs: 100 } };
    const page = createClient({ ...options, signIn: { code } });
    const second = createClient({ ...options, signIn: { code } });
    try {
      const told = page.events("agent.status", { since: 0 });
      const status = await page.call("status.get");
      expect(status.active_agents).toBe(0);
      await page.call("agent.register", { agent_id: "a1", agent_type: "codex" });
      expect((await told.next()).value?.data).toEqual({ agent_id: "a1", status: "active" });
      await told.return?.();
      await expect(second.call("status.get")).rejects.toMatchObject({
        code: 401,
        why: ["the code was used before"],
      });
      const gone = new Promise<void>((signedOut) => {
        page.onState((state) => state !== "connected" && signedOut());
      });
      await user.call("key.rotate");
      await gone;
      await expect(page.call("status.get")).rejects.toMatchObject({ code: 401 });
    } finally {
      page.close();
      second.close();
    }
  });
});

/** A page of somebody else, at another port of this machine. */
async function serve(body: string): Promise<[Server, string]> {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end(body);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return [server, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`];
}

/** Everything that a page can do to reach the daemon, and what came of it. */
async function attack([target, token]: [string, string]): Promise<Record<string, string>> {
  const body = JSON.stringify({
    id: 1,
    method: "agent.register",
    params: { agent_id: "evil", agent_type: "x" },
  });
  const authorization = `Bearer ${token}`;
  const json = "application/json";
  const asked = async (path: string, init: RequestInit) => {
    try {
      const response = await fetch(`http://${target}${path}`, init);
      return response.type === "opaque" ? "opaque" : `read ${response.status}`;
    } catch {
      return "refused";
    }
  };
  const post = (headers: Record<string, string>, mode: RequestMode): RequestInit => ({
    method: "POST",
    mode,
    headers,
    body,
  });
  const form = (enctype: string) =>
    new Promise<string>((done) => {
      const frame = document.createElement("iframe");
      frame.name = `f${Math.random()}`;
      frame.onload = () => {
        try {
          done(frame.contentDocument?.body ? "blank" : "hidden");
        } catch {
          done("hidden");
        }
      };
      document.body.append(frame);
      const sent = document.createElement("form");
      Object.assign(sent, { action: `http://${target}/rpc`, method: "post", target: frame.name, enctype });
      const field = document.createElement("input");
      // As `text/plain` this makes a body that is JSON: name, equals sign and value.
      Object.assign(field, { name: body.slice(0, -3), value: '"}}' });
      sent.append(field);
      document.body.append(sent);
      sent.submit();
    });
  const socket = () =>
    new Promise<string>((done) => {
      const opened = new WebSocket(`ws://${target}/ws`);
      opened.onopen = () => done("open");
      opened.onclose = () => done("refused");
    });
  const events = () =>
    new Promise<string>((done) => {
      const source = new EventSource(`http://${target}/events?topics=*`);
      source.onopen = () => done("open");
      source.onerror = () => done("refused");
    });
  const loaded = (name: "img" | "script", path: string) =>
    new Promise<string>((done) => {
      const element = document.createElement(name) as HTMLImageElement | HTMLScriptElement;
      element.onload = () => done("loaded");
      element.onerror = () => done("refused");
      element.src = `http://${target}${path}`;
      document.body.append(element);
    });
  return {
    "fetch with a token": await asked("/rpc", post({ authorization, "content-type": json }, "cors")),
    "fetch as text": await asked("/rpc", post({ "content-type": "text/plain" }, "cors")),
    "fetch unread": await asked("/rpc", post({ "content-type": "text/plain" }, "no-cors")),
    "fetch by GET": await asked("/healthz", {}),
    "fetch of events": await asked("/events?topics=*", { headers: { authorization } }),
    beacon: String(navigator.sendBeacon(`http://${target}/rpc`, new Blob([body], { type: "text/plain" }))),
    "form as text": await form("text/plain"),
    form: await form("application/x-www-form-urlencoded"),
    "multipart form": await form("multipart/form-data"),
    "web socket": await socket(),
    "event source": await events(),
    picture: await loaded("img", "/"),
    script: await loaded("script", "/healthz"),
  };
}

describe.skipIf(CHROMIUM === undefined)(`a real browser${CHROMIUM ? "" : " (skipped: no Chromium is installed)"}`, () => {
  let browser: Browser;
  const servers: Server[] = [];

  beforeEach(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM ?? "",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  afterEach(async () => {
    await browser.close();
    for (const server of servers.splice(0)) await new Promise((closed) => server.close(closed));
  });

  test("[G19] lets a page of elsewhere reach nothing, by whatever name", async () => {
    const { token } = await user.call("agent.register", { agent_id: "a1", agent_type: "codex" });
    for (const host of ["127.0.0.1", "localhost"]) {
      const [server, elsewhere] = await serve("<!doctype html><title>Elsewhere</title>");
      servers.push(server);
      const page = await browser.newPage();
      await page.goto(elsewhere.replace("127.0.0.1", host));
      const told = await page.evaluate(attack, [`127.0.0.1:${port}`, token] as [string, string]);
      expect(told).toEqual({
        "fetch with a token": "refused",
        "fetch as text": "refused",
        "fetch unread": expect.stringMatching(/^(opaque|refused)$/),
        "fetch by GET": "refused",
        "fetch of events": "refused",
        beacon: "true",
        "form as text": expect.stringMatching(/^(hidden|blank)$/),
        form: expect.stringMatching(/^(hidden|blank)$/),
        "multipart form": expect.stringMatching(/^(hidden|blank)$/),
        "web socket": "refused",
        "event source": "refused",
        picture: "refused",
        script: "refused",
      });
      await page.close();
    }
    const { agents } = await user.call("agent.list");
    expect(agents.map(({ agent_id }) => agent_id)).toEqual(["a1"]);
  });

  test("[G19] shows the daemon in no frame, and reaches it by no name but its own", async () => {
    const [server, elsewhere] = await serve(`<iframe src="http://127.0.0.1:${port}/"></iframe>`);
    servers.push(server);
    const page = await browser.newPage();
    await page.goto(elsewhere);
    const [, framed] = page.frames();
    expect(await framed?.content()).not.toContain("Codex Orchestrator");
    const rebound = await page.goto(`http://rebound.localhost:${port}/`);
    expect(rebound?.status(), "a name that leads here").toBe(421);
  });

  test("[G19] [A2.5] lets the daemon's own page in by its link", async () => {
    const page = await browser.newPage();
    const { url } = await user.call("dashboard.link");
    expect((await page.goto(url))?.status()).toBe(200);
    const talk = (target: Page) =>
      target.evaluate(
        () =>
          new Promise<unknown[]>((done) => {
            const heard: unknown[] = [];
            const socket = new WebSocket(`ws://${location.host}/ws`);
            socket.onopen = () => {
              const code = location.hash.slice("#code=".length);
              socket.send(JSON.stringify({ type: "code", code }));
              socket.send(JSON.stringify({ id: 1, method: "daemon.status" }));
            };
            socket.onmessage = ({ data }) => {
              heard.push(JSON.parse(data));
              if (heard.length === 2) socket.close();
            };
            socket.onclose = () => done(heard);
          }),
      );
    expect(await talk(page)).toEqual([
      expect.objectContaining({ type: "welcome", token: expect.stringMatching(/^[0-9a-f]{64}$/) }),
      expect.objectContaining({ id: 1, result: expect.objectContaining({ http_port: port }) }),
    ]);
    const again = await browser.newPage();
    await again.goto(url);
    expect(await talk(again), "a second time").toMatchObject([{ type: "refused", error: { code: 401 } }]);
    // The page may connect back, and to nothing else.
    const [server, elsewhere] = await serve("");
    servers.push(server);
    const out = page.evaluate((to) => fetch(to, { mode: "no-cors" }).then(() => "sent"), elsewhere);
    await expect(out).rejects.toThrow("Failed to fetch");
    const log = await readFile(join(repository.path, ".git/codex-orch/daemon.log"), "utf8");
    expect(log).not.toContain(url.split("#code=")[1]);
  });
});
