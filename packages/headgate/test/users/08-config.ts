import { Config, ConfigProvider, Effect, Layer, Option, Result } from "effect"
import { BufferPool, Headgate, HeadgateConfig } from "headgate"

const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

const numbers = Effect.map(BufferPool.snapshot, ({ bufferSize, limit, reserve }) => ({ bufferSize, limit, reserve }))

// Headgate's own variables.
export const fromEnvironment = numbers.pipe(
  Effect.provide(Headgate.layerConfig.pipe(
    Layer.provide(environment({ HEADGATE_LIMIT: "7", HEADGATE_BUFFER_SIZE: "16 KiB" }))
  ))
)

// The same, nested under the app's prefix.
export const nested = Config.nested(HeadgateConfig.config, "APP").pipe(
  Effect.flatMap(HeadgateConfig.parse),
  Effect.map(Headgate.layer),
  Layer.unwrap,
  (layer) => Effect.provide(numbers, layer),
  Effect.provide(environment({ APP_HEADGATE_LIMIT: "9", HEADGATE_LIMIT: "7" }))
)

// The app's own variables; an option that is undefined is left out.
const fromApp = Layer.unwrap(Effect.gen(function*() {
  const limit = yield* Config.Int("APP_BUFFERS").pipe(Config.withDefault(16))
  const reserve = yield* Config.option(Config.Int("APP_RESERVE"))
  return Headgate.layer({ limit, reserve: Option.getOrUndefined(reserve) })
}))

export const ownVariables = numbers.pipe(
  Effect.provide(fromApp.pipe(Layer.provide(environment({ APP_BUFFERS: "32" }))))
)

// What does not hold is told at once, all of it.
export const badValues = numbers.pipe(
  Effect.provide(Headgate.layerConfig.pipe(
    Layer.provide(environment({ HEADGATE_LIMIT: "many", HEADGATE_RESERVE: "-1", HEADGATE_BUFFER_SIZE: "16 KB" }))
  )),
  Effect.catchTag("ConfigError", (error) => Effect.succeed(error.message.split("\n")))
)

const withATypo = { limit: 8, limt: 9, bufferSize: undefined }

export const unknownOption = numbers.pipe(
  Effect.provide(Headgate.layer(withATypo)),
  Effect.catchTag("ConfigError", (error) => Effect.succeed(error.problems.map(({ field, value }) => [field, value])))
)

export const sizes = ["64 KiB", "1.5 MiB", "1 GiB", "16384", "16 KB", "0.3 KiB", "-"]
  .map((text) => Result.getOrUndefined(HeadgateConfig.parseSize(text)))
