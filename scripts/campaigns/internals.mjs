/**
 * The parts of the built package that the fuzz targets and the torture use and that are not public. Where a module of
 * lib/ moves, only this file changes.
 */
export { fromBytes, fromText } from '../../dist/lib/codec/codec.cjs'
export { decodeStructured, encodeStructured } from '../../dist/lib/codec/structured.cjs'
export { Kind } from '../../dist/lib/native/layout.cjs'
export { advance, manualClock, problems } from '../../dist/lib/segment/testing.cjs'
