import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Client, connect, type NodeOptions } from "../src/index.js";
import { Repository } from "./repository.js";

let repository: Repository;
let before: NodeJS.ProcessEnv;
const clients: Client[] = [];

const client = async (options: NodeOptions = {}) => {
  const made = await connect({ cwd: repository.path, backoff: { baseMs: 5, capMs: 100 }, ...options });
  clients.push(made);
  return made;
};

beforeEach(async () => {
  before = { ...process.env };
  repository = await Repository.make();
  Object.assign(process.env, repository.env);
  await repository.start();
});
afterEach(async () => {
  for (const made of clients.splice(0)) made.close();
  await repository.remove();
  process.env = before;
});

describe("with the real daemon", () => {
  test("[A1.6] [A1.7] [A2.3] [A8.1] every framing and envelope has its handshake and its answers", async () => {
    for (const framing of ["lines", "lengths"] as const) {
      for (const envelope of ["jsonrpc", "plain"] as const) {
        const here = await client({ framing, envelope });
        const status = await here.call("daemon.status");
        expect(here.daemon).toEqual({ version: status.version, pid: status.pid });
        const told = here.events("lock.changed");
        await here.call("session.start", { session_id: "s1", cwd: repository.path });
        const { fence } = await here.call("lock.acquire", { path: "a.txt", session_id: "s1" });
        const { value } = await told.next();
        expect(value?.data).toMatchObject({ action: "acquired", path: "a.txt", holder: "s1", fence });
        await here.call("lock.release", { path: "a.txt", session_id: "s1" });
      }
    }
  });

  test("[A1.2] [A1.4] [A8.1] TCP is taken when the daemon has only that", async () => {
    await repository.cxo("daemon", "stop");
    process.env.CXO_SERVER_TRANSPORT = repository.env.CXO_SERVER_TRANSPORT = "tcp";
    await repository.start();
    delete process.env.CXO_SERVER_TRANSPORT;
    const here = await client();
    expect(await here.call("daemon.status")).toMatchObject({ pid: here.daemon?.pid });
    await expect(client({ transport: "uds" })).rejects.toMatchObject({ kind: "no_daemon" });
  });

  test("[A5.1] a refusal bears its number, its kind and what to do", async () => {
    const here = await client();
    await here.call("session.start", { session_id: "s1", cwd: repository.path });
    await here.call("session.start", { session_id: "s2", cwd: repository.path });
    await here.call("lock.acquire", { path: "a.txt", session_id: "s1" });
    const second = here.call("lock.acquire", { path: "a.txt", session_id: "s2" });
    const error = await second.catch((error) => error);
    expect(error).toMatchObject({ name: "CxoError", code: 409 });
    expect(error.holder).toContain("s1");
    expect(error.next.length).toBeGreaterThan(0);
    const wrong = here.call("lock.acquire", { path: "a.txt", nonsense: 1 } as never);
    await expect(wrong).rejects.toMatchObject({ code: -32602 });
    await expect(here.call("no.such" as "status.get")).rejects.toMatchObject({ code: -32601 });
    const topic = here.on("no.such" as "*", () => {}).ready;
    await expect(topic).rejects.toMatchObject({ code: -32602 });
  });

  test("[A2.5] a registered agent calls by its own token", async () => {
    const user = await client();
    const { token } = await user.call("agent.register", { agent_id: "a1", agent_type: "codex" });
    const agent = await client({ credentials: { principal: "agent:a1", token } });
    expect(await agent.call("agent.heartbeat", { agent_id: "a1" })).toEqual({ success: true });
    await expect(agent.call("run.status")).rejects.toMatchObject({ code: 403 });
    await expect(agent.call("agent.heartbeat", { agent_id: "a2" })).rejects.toMatchObject({ code: 403 });
  });

  test("[A3.4] [G21] an agent works only where the user has a session, and never on the user's", async () => {
    const user = await client();
    const { token } = await user.call("agent.register", { agent_id: "a1", agent_type: "codex" });
    const agent = await client({ credentials: { principal: "agent:a1", token } });
    const own = { session_id: "of-agent", cwd: repository.path };
    await expect(agent.call("session.start", own)).rejects.toMatchObject({ code: 403 });
    await user.call("session.start", { session_id: "of-user", cwd: repository.path });
    expect(await agent.call("session.start", own)).toEqual({ success: true });
    await agent.call("fs.write", { path: "by-agent.txt", content: "x", session_id: "of-agent" });
    const foreign = { path: "by-agent.txt", session_id: "of-user" };
    await expect(agent.call("fs.read", foreign)).rejects.toMatchObject({ code: 403 });
    await expect(agent.call("lock.acquire", foreign)).rejects.toMatchObject({ code: 403 });
    const forced = { path: "by-agent.txt", force: true, session_id: "of-agent" };
    await expect(agent.call("lock.acquire", forced)).rejects.toMatchObject({ code: 403 });
    const ended = agent.call("session.end", { session_id: "of-user" });
    await expect(ended).rejects.toMatchObject({ code: 403 });
  });

  test("[A4.2] [A6.2] [A8.1] a daemon that is killed again and again loses and doubles no event", async () => {
    const [reader, writer] = [await client(), await client()];
    const told: number[] = [];
    const gaps: unknown[] = [];
    reader.onGap((gap) => gaps.push(gap));
    let settled = () => {};
    const last = 60;
    const all = new Promise<void>((resolve) => (settled = resolve));
    const subscription = reader.on("tokens.updated", ({ data }) => {
      if (data.action !== "used") return;
      told.push(data.tokens);
      if (data.tokens === last) settled();
    });
    const since = await subscription.ready;
    await writer.call("agent.register", { agent_id: "a1", agent_type: "codex" });
    let pid = writer.daemon?.pid ?? 0;
    for (let tokens = 1; tokens <= last; tokens++) {
      const report = { agent_id: "a1", tokens_used: tokens };
      const reported = writer.call("tokens.reportUsage", report, { idemKey: `report-${tokens}` });
      if (tokens % 20 === 10) {
        process.kill(pid, "SIGKILL");
        pid = await repository.start();
      }
      await reported;
    }
    await all;
    const kept: number[] = [];
    for await (const { data } of reader.events("tokens.updated", { since })) {
      if (data.action === "used") kept.push(data.tokens);
      if (kept.at(-1) === last) break;
    }
    expect(told, "as the log has them").toEqual(kept);
    expect(told, "each report once").toEqual(Array.from({ length: last }, (_, at) => at + 1));
    expect(gaps).toEqual([]);
  });
});
