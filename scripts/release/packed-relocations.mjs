/**
 * Rewrites the packed relocations (DT_RELR) of an ELF file as plain ones (DT_RELA), in place.
 *
 * musl reads packed relocations from 1.2.4 on. Debian 12 has 1.2.3, on which a library with them crashes at its start.
 * Only 64-bit little-endian files are understood.
 */
import { readFileSync, writeFileSync } from 'node:fs'

/** Numbers of the ELF format. */
const Segment = { Load: 1, Dynamic: 2, Note: 4, Property: 0x6474e553 }
const Tag = { Rela: 7, RelaSize: 8, RelrSize: 35, Relr: 36, RelrEntrySize: 37 }
/** Tags that every loader ignores. */
const ignoredTag = 0x6000001d
/** The type of a relocation that adds the address of the library, by the number of the machine. */
const relative = { 62: 8, 183: 1027 }

const alignment = 0x10000n

export function withoutPackedRelocations(path) {
  const file = readFileSync(path)
  const word = (at) => file.readBigUInt64LE(Number(at))
  const headers = segmentsOf(file, word)
  const offsetOf = (address) => {
    const holder = headers.find((s) => s.type === Segment.Load && s.address <= address && address < s.address + s.size)
    return holder.offset + address - holder.address
  }
  const dynamic = headers.find((segment) => segment.type === Segment.Dynamic)
  const tags = new Map()
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16n) {
    if (!tags.has(Number(word(at)))) tags.set(Number(word(at)), at)
  }
  if (!tags.has(Tag.Relr)) return
  const value = (tag) => word(tags.get(tag) + 8n)

  const places = unpack(word, offsetOf(value(Tag.Relr)), value(Tag.RelrSize))
  const table = Buffer.alloc(places.length * 24)
  places.forEach((place, i) => {
    table.writeBigUInt64LE(place, i * 24)
    table.writeBigUInt64LE(BigInt(relative[file.readUInt16LE(18)]), i * 24 + 8)
    table.writeBigUInt64LE(word(offsetOf(place)), i * 24 + 16)
  })
  const before = Number(offsetOf(value(Tag.Rela)))
  const all = Buffer.concat([table, file.subarray(before, before + Number(value(Tag.RelaSize)))])

  // The longer table goes behind everything else. A note, which nothing reads, becomes the segment that holds it.
  const ends = headers.filter(({ type }) => type === Segment.Load).map(({ address, size }) => address + size)
  const to = roundUp(ends.reduce((a, b) => (a > b ? a : b)))
  const offset = roundUp(BigInt(file.length))
  const spare = headers.find(({ type }) => type === Segment.Note || type === Segment.Property)
  file.writeUInt32LE(Segment.Load, spare.at)
  file.writeUInt32LE(4, spare.at + 4) // readable
  const fields = [offset, to, to, BigInt(all.length), BigInt(all.length), alignment]
  fields.forEach((field, i) => file.writeBigUInt64LE(field, spare.at + 8 + i * 8))
  const set = (tag, newTag, newValue) => {
    const at = Number(tags.get(tag))
    file.writeBigUInt64LE(BigInt(newTag), at)
    file.writeBigUInt64LE(newValue, at + 8)
  }
  set(Tag.Rela, Tag.Rela, to)
  set(Tag.RelaSize, Tag.RelaSize, BigInt(all.length))
  for (const [i, tag] of [Tag.RelrSize, Tag.Relr, Tag.RelrEntrySize].entries()) set(tag, ignoredTag + i, 0n)
  writeFileSync(path, Buffer.concat([file, Buffer.alloc(Number(offset) - file.length), all]))
}

/** The program headers. */
function segmentsOf(file, word) {
  const start = Number(word(32))
  const [size, count] = [file.readUInt16LE(54), file.readUInt16LE(56)]
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * size
    return { at, type: file.readUInt32LE(at), offset: word(at + 8), address: word(at + 16), size: word(at + 32) }
  })
}

/** The places of packed relocations: an even entry is a place, an odd one a bit for each of the next 63 words. */
function unpack(word, start, size) {
  const places = []
  let next = 0n
  for (let at = start; at < start + size; at += 8n) {
    const entry = word(at)
    if ((entry & 1n) === 0n) {
      places.push(entry)
      next = entry + 8n
    } else {
      for (let bit = 0n; bit < 63n; bit++) if ((entry >> (bit + 1n)) & 1n) places.push(next + 8n * bit)
      next += 504n
    }
  }
  return places
}

function roundUp(address) {
  return ((address + alignment - 1n) / alignment) * alignment
}
