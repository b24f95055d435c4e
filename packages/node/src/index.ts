/**
 * Headgate on Node: sockets as peers, listeners, the status page, and the relay as a service and as a command.
 *
 * @since 0.1.0
 */
export * as Address from "./Address.ts"
export * as Connect from "./Connect.ts"
export * as Landing from "./Landing.ts"
export * as NodeListener from "./NodeListener.ts"
export * as NodePeer from "./NodePeer.ts"
export * as ProxyProtocol from "./ProxyProtocol.ts"
export * as RelayCommand from "./RelayCommand.ts"
export * as RelayFlags from "./RelayFlags.ts"
export * as RelayServer from "./RelayServer.ts"
export * as StatusServer from "./StatusServer.ts"
