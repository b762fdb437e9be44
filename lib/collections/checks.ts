/**
 * Positions and counts in the arguments of collections, and choices by chance.
 */
import { invalid } from '../errors.ts'

/** A seed for a choice by chance, which the core makes. */
export function seed(): number {
  return Math.floor(Math.random() * 2 ** 32)
}

export function checkCount(count: unknown): number {
  if (!Number.isSafeInteger(count) || (count as number) < 0) {
    throw invalid('count must be a whole number of at least 0', count)
  }
  return count as number
}

/** A position in an order; below 0 it counts from the end. */
export function checkIndex(index: unknown): number {
  if (typeof index !== 'number' || Number.isNaN(index)) throw invalid('a position must be a number', index)
  return Math.trunc(index)
}
