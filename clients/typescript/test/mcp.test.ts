// The MCP server by the official SDK of the protocol, over stdio and over HTTP.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { CXO, Repository } from "./repository.js";

let repository: Repository;
const clients: Client[] = [];

const register = async (name: string, role: string): Promise<string> => {
  const agent = JSON.stringify({ agent_id: name, agent_type: "codex", role });
  return JSON.parse(await repository.cxo("call", "agent.register", agent, "--format", "json")).token;
};

const over = async (transport: StdioClientTransport | StreamableHTTPClientTransport) => {
  const client = new Client({ name: "a test", version: "1" });
  await client.connect(transport);
  clients.push(client);
  return client;
};

const stdio = (env: Record<string, string> = {}) =>
  over(
    new StdioClientTransport({
      command: CXO,
      args: ["serve"],
      cwd: repository.path,
      env: { ...repository.env, ...env },
    }),
  );

const url = async () => {
  const status = JSON.parse(await repository.cxo("daemon", "status", "--format", "json"));
  return new URL(`http://127.0.0.1:${status.http_port}/mcp`);
};

const http = async (token: string, headers: Record<string, string> = {}) =>
  over(
    new StreamableHTTPClientTransport(await url(), {
      requestInit: { headers: { Authorization: `Bearer ${token}`, ...headers } },
    }),
  );

beforeEach(async () => {
  repository = await Repository.make();
  repository.env.CXO_SERVER_HTTP_PORT = "0";
  await repository.start();
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await repository.remove();
});

describe("with the official SDK", () => {
  test("[B1.1] [B1.3] tools, resources and prompts are there over stdio, and have their effects", async () => {
    const client = await stdio();
    expect(client.getServerVersion()?.name).toBe("codex-orchestrator");
    const { tools } = await client.listTools();
    expect(tools.length).toBeLessThanOrEqual(13);
    expect(tools.map((tool) => tool.name)).toContain("orchestrator_call");
    expect(tools.find((tool) => tool.name === "run_status")?.annotations?.readOnlyHint).toBe(true);
    await client.callTool({
      name: "session_start",
      arguments: { session_id: "sdk", cwd: repository.path },
    });
    const locked = await client.callTool({
      name: "lock_acquire",
      arguments: { path: "a.txt", session_id: "sdk" },
    });
    expect(locked.isError).toBe(false);
    const status = JSON.parse(await repository.cxo("lock", "status", "a.txt", "--format", "json"));
    expect(status.holder).toBe("sdk");
    const { resources } = await client.listResources();
    expect(resources.map((resource) => resource.uri)).toContain("cxo://methods");
    const { prompts } = await client.listPrompts();
    expect(prompts.map((prompt) => prompt.name)).toEqual(["plan", "review"]);
  });

  test("[B1.3] [B1.4] over HTTP an agent is its token, and what it may not do is said", async () => {
    const client = await http(await register("remote", "worker"));
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).not.toContain("run_start");
    const reported = await client.callTool({
      name: "orchestrator_call",
      arguments: { method: "tokens.reportUsage", params: { agent_id: "remote", tokens_used: 30 } },
    });
    expect(reported.structuredContent).toMatchObject({ success: true });
    const refused = await client.callTool({ name: "run_start", arguments: { goal: "g", cwd: "/" } });
    expect(refused.isError).toBe(true);
    expect(refused.structuredContent).toMatchObject({ error: { code: 403, data: { code: "CX1804" } } });
  });

  test("[B1.3] over HTTP nobody comes in without a token, from a page, or in a revision that there is not", async () => {
    await expect(http("00".repeat(32))).rejects.toThrow();
    const token = await register("remote", "worker");
    await expect(http(token, { Origin: "http://example.org" })).rejects.toThrow();
    const ask = async (headers: Record<string, string>) => {
      const response = await fetch(await url(), {
        method: "POST",
        headers: {
          Authorization: `Bearer ${token}`,
          Accept: "application/json, text/event-stream",
          "Content-Type": "application/json",
          ...headers,
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
      });
      return { status: response.status, text: await response.text() };
    };
    expect((await ask({ "MCP-Protocol-Version": "2025-06-18" })).status).toBe(200);
    const wrong = await ask({ "MCP-Protocol-Version": "1999-01-01" });
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain("1999-01-01");
  });

  test("[B1.4] over stdio the token of the environment says who it is", async () => {
    const client = await stdio({ CXO_TOKEN: await register("local", "reviewer") });
    const caller = await client.callTool({ name: "orchestrator_call", arguments: { method: "caller.get" } });
    expect(caller.structuredContent).toMatchObject({ principal: "agent:local", role: "reviewer" });
  });
});
