/**
 * A fixed memory budget for Effect services that move bytes.
 *
 * @since 0.1.0
 */
export * as Applet from "./Applet.ts"
export { AppletScheduler } from "./AppletScheduler.ts"
export { BufferPool, type BufferPoolOptions, type ClassSnapshot, type PoolSnapshot } from "./BufferPool.ts"
export type { ByteBuffer } from "./ByteBuffer.ts"
export * as ByteChannel from "./ByteChannel.ts"
export * as ByteStream from "./ByteStream.ts"
export type { Criticality } from "./Criticality.ts"
export * as Headgate from "./Headgate.ts"
export * as HeadgateConfig from "./HeadgateConfig.ts"
export * as HeadgateMetrics from "./HeadgateMetrics.ts"
export type { Peer, PeerEvents } from "./Peer.ts"
export * from "./PoolError.ts"
export * as Probe from "./Probe.ts"
export { Relay, type RelayEnd, type RelayOptions, type RelayOutcome, type RelaySnapshot } from "./Relay.ts"
export { Stepper } from "./Stepper.ts"
export * as Task from "./Task.ts"
export { type Runnable, type SchedulerOptions, type SchedulerSnapshot, TaskScheduler } from "./TaskScheduler.ts"
export { type News, type Waiter, type WaiterOptions, type Waiting, WaitQueue } from "./WaitQueue.ts"
export type { WakeReason } from "./WakeReason.ts"
