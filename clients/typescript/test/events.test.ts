import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { waitMs } from "../src/backoff.js";
import { type Client, createClient, type Gap, MAX_WAITING_EVENTS } from "../src/index.js";
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
  client.close();
  await daemon.remove();
});

const used = (tokens: number): [string, object] => ["tokens.updated", { action: "used", agent_id: "a", tokens }];
const done = (task_id: string): [string, object] => ["task.completed", { task_id, run: "r" }];
const failed = (task_id: string): [string, object] => ["task.failed", { task_id, run: "r", reason: "no" }];

/** Collects what is told, and waits for so many of them. */
function collector<T>() {
  const got: T[] = [];
  let changed = () => {};
  const wait = async (count: number): Promise<T[]> => {
    while (got.length < count) await new Promise<void>((resolve) => (changed = resolve));
    return got;
  };
  const tell = (one: T) => {
    got.push(one);
    changed();
  };
  return { got, tell, wait };
}

describe("events", () => {
  test("[A4.1] [A8.1] are told by topic, by family and all, while calls go on", async () => {
    const [exact, family, all] = [collector<string>(), collector<string>(), collector<string>()];
    await client.on("task.completed", ({ data }) => exact.tell(data.task_id)).ready;
    await client.on("task.*", (event) => family.tell(`${event.topic} ${event.data.task_id}`)).ready;
    await client.on("*", ({ topic }) => all.tell(topic)).ready;
    daemon.commit(done("t1"));
    daemon.commit(used(1));
    daemon.commit(failed("t2"));
    expect(await client.call("status.get")).toBeDefined();
    expect(await all.wait(3)).toEqual(["task.completed", "tokens.updated", "task.failed"]);
    expect(family.got).toEqual(["task.completed t1", "task.failed t2"]);
    expect(exact.got).toEqual(["t1"]);
  });

  test("[A4.2] [A8.1] come once each over connections that break, also between two of one position", async () => {
    const all = collector<number | string>();
    await client.on("tokens.updated", ({ data }) => data.action === "used" && all.tell(data.tokens)).ready;
    await client.on("task.*", ({ data }) => all.tell(data.task_id)).ready;
    daemon.commit(used(1));
    daemon.commit(done("t1"), used(2));
    await all.wait(3);
    await daemon.kill();
    // Of this fact the client has heard one half.
    daemon.log.pop();
    daemon.commit(used(9));
    daemon.log.pop();
    daemon.log.push({ topic: "tokens.updated", data: used(2)[1], timestamp: 0, seq: 2 });
    daemon.log.push({ topic: "task.failed", data: failed("t2")[1], timestamp: 0, seq: 2 });
    daemon.commit(used(3));
    await daemon.listen();
    await all.wait(5);
    daemon.commit(used(4));
    expect(await all.wait(6)).toEqual([1, "t1", 2, "t2", 3, 4]);
    expect(daemon.of("pubsub.subscribe").at(-1)?.params).toEqual({
      topics: ["tokens.updated", "task.*"],
      since: 1,
    });
  });

  test("[A4.2] what was before a listener began is not told to it after a reconnect", async () => {
    const [locks, tasks] = [collector<string>(), collector<string>()];
    await client.on("lock.changed", ({ topic }) => locks.tell(topic)).ready;
    daemon.commit(done("before"));
    await client.on("task.completed", ({ data }) => tasks.tell(data.task_id)).ready;
    await daemon.kill();
    daemon.commit(done("meanwhile"));
    await daemon.listen();
    expect(await tasks.wait(1)).toEqual(["meanwhile"]);
  });

  test("[A4.3] a gap is filled from the log; one that cannot be filled is told", async () => {
    const [tokens, gaps] = [collector<number>(), collector<Gap>()];
    client.onGap(gaps.tell);
    await client.on("tokens.updated", ({ data }) => data.action === "used" && tokens.tell(data.tokens)).ready;
    daemon.commit(used(1));
    await tokens.wait(1);
    const cut = () => {
      for (const peer of daemon.peers) {
        peer.topics.clear();
        peer.send({ jsonrpc: "2.0", method: "gap", params: { seq: 1 } });
      }
    };
    for (const peer of daemon.peers) peer.topics.clear();
    daemon.commit(used(2));
    cut();
    expect(await tokens.wait(2)).toEqual([1, 2]);
    expect(gaps.got).toEqual([]);
    daemon.handlers["pubsub.subscribe"] = ({ since }, request, peer) =>
      peer.subscribe(since === undefined ? request.params : { topics: ["fs.changed"] }, request);
    cut();
    await daemon.until(() => daemon.of("pubsub.subscribe").length === 3);
    cut();
    expect(await gaps.wait(1)).toEqual([{ after: 1, resumedAt: 2 }]);
    daemon.commit(used(3));
    expect(await tokens.wait(3)).toEqual([1, 2, 3]);
  });

  test("[A4.2] a log that is another one is a gap, too", async () => {
    const [tokens, gaps] = [collector<number>(), collector<Gap>()];
    client.onGap(gaps.tell);
    for (let at = 0; at < 5; at++) daemon.commit(used(at));
    await client.on("tokens.updated", ({ seq }) => tokens.tell(seq)).ready;
    await daemon.kill();
    daemon.log.length = 2;
    await daemon.listen();
    expect(await gaps.wait(1)).toEqual([{ after: 5, resumedAt: 2 }]);
    daemon.commit(used(9));
    expect(await tokens.wait(1)).toEqual([3]);
  });

  test("[A8.1] are an async iterator, also of the past, which has its own connection", async () => {
    daemon.commit(used(1));
    daemon.commit(done("t1"));
    daemon.commit(failed("t2"));
    await client.call("status.get");
    const seen: string[] = [];
    for await (const event of client.events(["task.completed", "task.failed"], { since: 1 })) {
      seen.push(`${event.seq} ${event.data.task_id}`);
      if (seen.length === 2) daemon.commit(done("t3"));
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(["2 t1", "3 t2", "4 t3"]);
    await daemon.until(() => daemon.peers.size === 1);
    expect(daemon.accepted).toBe(2);
    expect(client.state).toBe("connected");
  });

  test("[A4.3] a reader that is too slow gets all that was kept, and is told where to go on", async () => {
    const events = client.events("tokens.updated");
    const probe = collector<number>();
    await client.on("tokens.updated", ({ seq }) => probe.tell(seq)).ready;
    for (let at = 0; at < MAX_WAITING_EVENTS; at++) daemon.commit(used(at));
    daemon.commit(used(-1), used(-2));
    await probe.wait(MAX_WAITING_EVENTS + 2);
    let read = 0;
    const reading = (async () => {
      for await (const { seq } of events) read = seq;
    })();
    await expect(reading).rejects.toMatchObject({
      kind: "slow_reader",
      next: [expect.stringContaining(`since: ${MAX_WAITING_EVENTS} `)],
    });
    expect(read).toBe(MAX_WAITING_EVENTS);
  });

  test("end for who does not want them, and are asked for as long as anybody does", async () => {
    const got = collector<number>();
    const first = client.on("tokens.updated", () => {});
    const second = client.on("tokens.updated", ({ seq }) => got.tell(seq));
    await Promise.all([first.ready, second.ready]);
    first.off();
    daemon.commit(used(1));
    await got.wait(1);
    expect(daemon.of("pubsub.unsubscribe")).toEqual([]);
    second.off();
    await daemon.until(() => daemon.of("pubsub.unsubscribe").length === 1);
    await client.call("status.get");
    daemon.commit(used(2));
    await client.call("status.get");
    expect(got.got).toEqual([1]);
  });

  test("[A8.1] begin now, also after others have ended", async () => {
    const got = collector<number>();
    const first = client.on("tokens.updated", () => {});
    await first.ready;
    first.off();
    daemon.commit(used(1));
    await client.on("tokens.updated", ({ seq }) => got.tell(seq)).ready;
    daemon.commit(used(2));
    expect(await got.wait(1)).toEqual([2]);
  });

  test("that the daemon refuses are an error of the subscription and of the iterator only", async () => {
    const data = { kind: "forbidden", next: ["cxo daemon status"] };
    daemon.handlers["pubsub.subscribe"] = () => new Refusal(403, data);
    await expect(client.on("*", () => {}).ready).rejects.toMatchObject({ code: 403 });
    await expect(client.events("*").next()).rejects.toMatchObject({ kind: "forbidden" });
    expect(client.state).toBe("connected");
    await daemon.kill();
    daemon.key = Buffer.alloc(32, 1);
    await daemon.listen();
    await expect(client.events("*").next()).rejects.toMatchObject({ kind: "impostor" });
  });
});

describe("connecting again", () => {
  test("[A8.1] waits twice as long each time up to a limit, and by chance less", () => {
    const bounds = { baseMs: 100, capMs: 1_000 };
    const longest = [0, 1, 2, 3, 4, 50].map((tries) => waitMs(tries, bounds, () => 1));
    expect(longest).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(waitMs(3, bounds, () => 0.25)).toBe(200);
    expect(waitMs(3, bounds, () => 0)).toBe(0);
  });

  test("[A8.1] tells its states, and stops when nobody wants anything", async () => {
    const states = collector<string>();
    client.onState(states.tell);
    const subscription = client.on("*", () => {});
    await subscription.ready;
    await daemon.kill();
    await daemon.listen();
    await states.wait(4);
    expect(states.got).toEqual(["connecting", "connected", "connecting", "connected"]);
    subscription.off();
    await daemon.kill();
    expect(await states.wait(5)).toEqual([...states.got.slice(0, 4), "disconnected"]);
    await daemon.listen();
    expect(await client.call("status.get")).toBeDefined();
  });
});
