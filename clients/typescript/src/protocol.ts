// What both entries of the package have in common.

export type { Backoff } from "./backoff.js";
export { type CallOptions, DEFAULT_TIMEOUT_MS } from "./calls.js";
export type { Channel, Transport } from "./channel.js";
export {
  Client,
  type ClientOptions,
  type ClientState,
  type Subscription,
  type Target,
} from "./client.js";
export type { Envelope } from "./envelope.js";
export { type ClientErrorKind, CxoError, type ErrorDetails } from "./errors.js";
export { EventStream, MAX_WAITING_EVENTS } from "./event-stream.js";
export { ERRORS, type ErrorKind } from "./generated/errors.js";
export { METHOD_KINDS, type Method, type Methods } from "./generated/methods.js";
export type { Topics } from "./generated/topics.js";
export type * from "./generated/types.js";
export type { Credentials, DaemonIdentity } from "./handshake.js";
export type { Covered, Gap, Topic, TopicEvent, TopicPattern } from "./topics.js";
