/**
 * A fixed memory budget for Effect services that move bytes.
 *
 * @since 0.1.0
 */
export { BufferPool, type BufferPoolOptions, type ClassSnapshot, type PoolSnapshot } from "./BufferPool.ts"
export type { ByteBuffer } from "./ByteBuffer.ts"
export type { Criticality } from "./Criticality.ts"
export * from "./PoolError.ts"
export { type News, type Waiter, type WaiterOptions, type Waiting, WaitQueue } from "./WaitQueue.ts"
