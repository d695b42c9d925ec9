// @vitest-environment jsdom
import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import { type ReactNode, StrictMode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { type Client, createClient } from "../src/index.js";
import { POLL_MS } from "../src/live-reply.js";
import {
  ProtocolProvider,
  useAgentList,
  useLockStatus,
  useOrchestratorStatus,
  useProtocol,
  useProtocolEvent,
  useTokenBudget,
} from "../src/react.js";
import { FakeDaemon, KEY, Refusal } from "./fake-daemon.js";

let daemon: FakeDaemon;
let client: Client;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
  client = createClient({
    socket: daemon.socket,
    credentials: { principal: "user", key: new Uint8Array(KEY) },
    backoff: { baseMs: 1, capMs: 5 },
  });
});
afterEach(async () => {
  cleanup();
  client.close();
  vi.useRealTimers();
  await daemon.remove();
});

/** Shows a component as an application would, with every effect done twice. */
const show = (Component: () => ReactNode) =>
  render(
    <StrictMode>
      <ProtocolProvider client={client}>
        <Component />
      </ProtocolProvider>
    </StrictMode>,
  );

const shows = (text: string) => waitFor(() => expect(screen.getByText(text)).toBeDefined());

describe("the hooks", () => {
  test("[A8.1] useProtocol shows whether the client is connected", async () => {
    show(() => <p>{useProtocol().state}</p>);
    expect(screen.getByText("disconnected")).toBeDefined();
    await act(() => client.call("status.get"));
    await shows("connected");
    await act(() => daemon.kill());
    await shows("disconnected");
  });

  test("[A8.1] useProtocolEvent tells each event once to the newest handler", async () => {
    const told: string[] = [];
    let word = "old";
    const Listening = () => {
      const current = word;
      const error = useProtocolEvent("task.*", ({ data }) => told.push(`${current} ${data.task_id}`));
      return <p>{error?.kind ?? useProtocol().state}</p>;
    };
    const shown = show(Listening);
    await daemon.until(() => [...daemon.peers].some((peer) => peer.topics.has("task.*")));
    await act(() => client.call("status.get"));
    daemon.commit(["task.completed", { task_id: "t1", run: "r" }]);
    await waitFor(() => expect(told).toEqual(["old t1"]));
    word = "new";
    shown.rerender(
      <StrictMode>
        <ProtocolProvider client={client}>
          <Listening />
        </ProtocolProvider>
      </StrictMode>,
    );
    daemon.commit(["task.failed", { task_id: "t2", run: "r", reason: "no" }]);
    await waitFor(() => expect(told).toEqual(["old t1", "new t2"]));
    shown.unmount();
    await daemon.until(() => [...daemon.peers].every((peer) => peer.topics.size === 0));
  });

  test("[A8.1] useOrchestratorStatus, useLockStatus, useTokenBudget and useAgentList follow events", async () => {
    let count = 0;
    daemon.handlers["status.get"] = () => ({ active_tasks: count });
    daemon.handlers["lock.status"] = ({ path }) => ({ locked: count > 0, holder: path });
    daemon.handlers["tokens.getBudget"] = () => ({ used: count });
    daemon.handlers["agent.list"] = () => ({ agents: Array.from({ length: count }) });
    show(() => {
      const [status, lock] = [useOrchestratorStatus(), useLockStatus("a")];
      const [budget, agents] = [useTokenBudget(), useAgentList()];
      const isLive = [status, lock, budget, agents].every((live) => live.isLive);
      return (
        <p>
          {[
            status.data?.active_tasks,
            lock.data && `${lock.data.locked} ${lock.data.holder}`,
            budget.data?.used,
            agents.data?.agents.length,
            isLive ? "live" : "not live",
          ].join(", ")}
        </p>
      );
    });
    await shows("0, false a, 0, 0, live");
    count = 2;
    daemon.commit(
      ["lock.changed", {}],
      ["tokens.updated", {}],
      ["agent.status", {}],
      ["task.progress", {}],
    );
    await shows("2, true a, 2, 2, live");
    await act(() => daemon.kill());
    await shows("2, true a, 2, 2, not live");
    count = 3;
    await act(() => daemon.listen());
    await shows("3, true a, 3, 3, live");
  });

  test("[A8.1] a reply is polled only while no events come", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    let count = 0;
    daemon.handlers["tokens.getBudget"] = () => ({ used: ++count });
    const { "pubsub.subscribe": subscribe } = daemon.handlers;
    daemon.handlers["pubsub.subscribe"] = () => new Refusal(429, { kind: "busy", retry_after: 1, next: ["wait"] });
    const Budget = () => {
      const { data, isLive } = useTokenBudget();
      return <p>{data && `${isLive ? "live" : "not live"} ${data.used > 1 ? "again" : "once"}`}</p>;
    };
    show(Budget);
    await shows("not live again");
    const before = count;
    await act(() => vi.advanceTimersByTimeAsync(POLL_MS));
    await daemon.until(() => count > before);
    daemon.handlers["pubsub.subscribe"] = subscribe!;
    await act(() => vi.advanceTimersByTimeAsync(POLL_MS));
    await shows("live again");
    expect(vi.getTimerCount(), "no timer to poll by").toBe(0);
  });

  test("an error stands beside the last reply", async () => {
    daemon.handlers["agent.list"] = () => new Refusal(403, { kind: "forbidden", next: ["cxo status"] });
    show(() => <p>{useAgentList().error?.kind ?? "none"}</p>);
    await shows("forbidden");
  });
});
