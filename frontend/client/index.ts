/** @deskwire/client: one socket that comes back by itself, and its pure core. The desk on top is `@deskwire/client/desk`. */
export { CODES, meaning } from "./contract/codes.ts";
export { Delivery, type Frame, type Out, type State } from "./delivery.ts";
export { openSocket, type Socket, type SocketOptions, type SocketState } from "./socket.ts";
export type { Reader } from "./watches.ts";
export type { Ephemeral, From, Place, Positions } from "./wire.ts";
