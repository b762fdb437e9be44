/**
 * Spans around calls of a cache.
 *
 * https://opentelemetry.io/docs/specs/semconv/db/database-spans/
 */
import type { Key } from '../../arguments/keys.ts'
import type {
  TelemetryApi,
  TelemetryAttributes,
  TelemetryContext,
  TelemetrySpan,
  TelemetryTracer,
} from './telemetry-api.ts'

/** `SpanKind.INTERNAL` of the API. */
const INTERNAL = 0
/** `SpanStatusCode.ERROR` of the API. */
const ERROR = 2

export interface SpanSettings {
  readonly api: TelemetryApi
  readonly tracer: TelemetryTracer
  /** Whether spans have keys. */
  readonly keys: boolean
}

/** The spans of one cache object. */
export class CacheSpans {
  readonly #settings: SpanSettings
  readonly #target: string
  readonly #attributes: TelemetryAttributes

  constructor(settings: SpanSettings, { name, namespaceName }: { name: string; namespaceName: string }) {
    this.#settings = settings
    this.#target = namespaceName === '' ? name : namespaceName
    this.#attributes = {
      'db.system.name': 'cache-machine',
      'db.namespace': name,
      ...(namespaceName !== '' && { 'db.collection.name': namespaceName }),
    }
  }

  /** The context of a caller. */
  active(): TelemetryContext {
    return this.#settings.api.context.active()
  }

  /** Runs `work` in a span, which ends with its result. `parent`: the context of the caller. */
  async run<T>(operation: string, key: Key, parent: TelemetryContext, work: () => T | PromiseLike<T>): Promise<T> {
    const { api, tracer, keys } = this.#settings
    const attributes = {
      ...this.#attributes,
      'db.operation.name': operation,
      ...(keys && { 'cache.key': typeof key === 'string' ? key : Buffer.from(key).toString('hex') }),
    }
    const span = tracer.startSpan(`${operation} ${this.#target}`, { kind: INTERNAL, attributes }, parent)
    try {
      return await api.context.with(api.trace.setSpan?.(parent, span), work)
    } catch (error) {
      fail(span, error)
      throw error
    } finally {
      span.end()
    }
  }
}

function fail(span: TelemetrySpan, error: unknown): void {
  // `notModified` of a load context throws a symbol, which is no error.
  if (typeof error === 'symbol') return
  const { code, name, message } = (error ?? {}) as { code?: unknown; name?: unknown; message?: unknown }
  const type = typeof code === 'string' ? code : typeof name === 'string' ? name : '_OTHER'
  const text = typeof message === 'string' ? message : String(error)
  span.setAttributes({ 'error.type': type })
  span.setStatus({ code: ERROR, message: text })
  span.recordException(error instanceof Error ? error : new Error(text))
}
