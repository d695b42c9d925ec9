// React hooks: the state of the connection, events, and what the daemon says of itself, always as it is now.

import {
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";

import type { Client, ClientState } from "./client.js";
import { CxoError, failure } from "./errors.js";
import type { Method, Methods } from "./generated/methods.js";
import { type Live, LiveReply } from "./live-reply.js";
import type { Covered, TopicEvent, TopicPattern } from "./topics.js";

export type { Live } from "./live-reply.js";

const ClientContext = createContext<Client | undefined>(undefined);

/** Gives a client to the hooks below it. Who made the client closes it. */
export function ProtocolProvider({ client, children }: { client: Client; children?: ReactNode }) {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** The client, and whether it is connected. */
export function useProtocol(): { client: Client; state: ClientState } {
  const client = useContext(ClientContext);
  if (!client) {
    throw failure("closed", "there is no client here", {
      next: ["put <ProtocolProvider client={client}> around the component"],
    });
  }
  const listen = useCallback((changed: () => void) => client.onState(changed), [client]);
  const now = () => client.state;
  return { client, state: useSyncExternalStore(listen, now, now) };
}

/** Tells every event of a topic while the component is shown; answers why it cannot, if so. */
export function useProtocolEvent<P extends TopicPattern>(
  topic: P,
  handler: (event: TopicEvent<Covered<P>>) => void,
): CxoError | undefined {
  const { client } = useProtocol();
  const [error, setError] = useState<CxoError>();
  // A handler that is another one after each rendering must not be another subscription.
  const newest = useRef(handler);
  useEffect(() => {
    newest.current = handler;
  });
  useEffect(() => {
    let isShown = true;
    const subscription = client.on(topic, (event) => newest.current(event));
    subscription.ready.then(
      () => isShown && setError(undefined),
      (refused: CxoError) => isShown && setError(refused),
    );
    return () => {
      isShown = false;
      subscription.off();
    };
  }, [client, topic]);
  return error;
}

/** How the server is. */
export function useOrchestratorStatus(): Live<Methods["status.get"]["result"]> {
  return useLive("status.get", {}, ["task.*", "agent.status", "tokens.updated"]);
}

/** Whether a path is locked and by whom; every lock, without a path. */
export function useLockStatus(path?: string): Live<Methods["lock.status"]["result"]> {
  return useLive("lock.status", path === undefined ? {} : { path }, ["lock.changed"]);
}

/** The token budget. */
export function useTokenBudget(): Live<Methods["tokens.getBudget"]["result"]> {
  return useLive("tokens.getBudget", {}, ["tokens.updated"]);
}

/** The registered agents. */
export function useAgentList(): Live<Methods["agent.list"]["result"]> {
  return useLive("agent.list", {}, ["agent.status"]);
}

function useLive<M extends Method>(
  method: M,
  params: Methods[M]["params"],
  topics: readonly TopicPattern[],
): Live<Methods[M]["result"]> {
  const { client } = useProtocol();
  const [live, setLive] = useState<Live<Methods[M]["result"]>>({ isLive: false });
  // Lists and objects are others after each rendering though they say the same.
  const question = JSON.stringify([params, topics]);
  useEffect(() => {
    const [params, topics] = JSON.parse(question);
    const reply = new LiveReply(client, method, params, topics, setLive);
    return () => reply.stop();
  }, [client, method, question]);
  return live;
}
