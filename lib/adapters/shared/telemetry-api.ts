/**
 * The part of `@opentelemetry/api` that the adapter uses, by its types: the module is a parameter.
 */
import { invalid } from '../../errors.ts'

/** A context of OpenTelemetry; only the API looks into it. */
export type TelemetryContext = object

/** Attributes of a span or a measurement. */
export type TelemetryAttributes = Record<string, string | number | boolean>

/** A span. */
export interface TelemetrySpan {
  setAttributes(attributes: TelemetryAttributes): unknown
  setStatus(status: { code: number; message?: string }): unknown
  recordException(exception: Error): void
  end(): void
}

/** Makes spans. */
export interface TelemetryTracer {
  startSpan(
    name: string,
    options: { kind: number; attributes: TelemetryAttributes },
    // oxlint-disable-next-line typescript/no-explicit-any -- A context of the API of the application.
    context: any,
  ): TelemetrySpan
}

/** Gets the values of a collection. */
export interface TelemetryResult {
  // oxlint-disable-next-line typescript/no-explicit-any -- An instrument of the API of the application.
  observe(metric: any, value: number, attributes?: TelemetryAttributes): void
}

/** Of an instrument. */
export interface MetricDescription {
  description: string
  unit: string
}

/** Makes observable instruments. */
export interface TelemetryMeter {
  createObservableCounter(name: string, options: MetricDescription): object
  createObservableUpDownCounter(name: string, options: MetricDescription): object
  createObservableGauge(name: string, options: MetricDescription): object
  // oxlint-disable-next-line typescript/no-explicit-any -- Instruments of the API of the application.
  addBatchObservableCallback(callback: (result: TelemetryResult) => void, instruments: any[]): void
  // oxlint-disable-next-line typescript/no-explicit-any -- The same.
  removeBatchObservableCallback(callback: (result: TelemetryResult) => void, instruments: any[]): void
}

/** The module `@opentelemetry/api`, 1.9 and later. */
export interface TelemetryApi {
  readonly context: {
    active(): TelemetryContext
    // oxlint-disable-next-line typescript/no-explicit-any -- A context of the API of the application.
    with<T>(context: any, run: () => T): T
  }
  readonly trace: {
    getTracer(name: string): TelemetryTracer
    // oxlint-disable-next-line typescript/no-explicit-any -- A context and a span of the API of the application.
    setSpan?(context: any, span: any): TelemetryContext
  }
  readonly metrics: { getMeter(name: string): TelemetryMeter }
}

/** Throws `ERR_INVALID_ARGUMENT` unless `api` is the module. */
export function checkApi(adapter: string, api: unknown): void {
  const { context, trace, metrics } = (api ?? {}) as Partial<TelemetryApi>
  if (
    typeof context?.with === 'function' &&
    typeof trace?.setSpan === 'function' &&
    typeof metrics?.getMeter === 'function'
  ) {
    return
  }
  throw invalid(`${adapter} takes the option api, the module @opentelemetry/api`, api)
}
