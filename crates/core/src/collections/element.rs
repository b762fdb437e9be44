//! One element of a collection as bytes: of the value, of a request and of a reply.
//!
//! ```text
//! flags u8 · kind of the key u8 · [kind of the value u8] · length of the key · [length of the value]
//! [score f64] · [deadline u48] · key · [value]
//! ```
//!
//! Lengths are varints. The *key* of an element is a field of a hash, a member of a set or of a sorted set, or an item
//! of a list. Deadlines are in milliseconds since boot, as those of entries.

/// The element has a value.
pub(crate) const HAS_VALUE: u8 = 1;
/// The element has a deadline.
pub(crate) const HAS_DEADLINE: u8 = 2;
/// The element has a score.
pub(crate) const HAS_SCORE: u8 = 4;
const ALL_FLAGS: u8 = HAS_VALUE | HAS_DEADLINE | HAS_SCORE;
const DEADLINE_BYTES: usize = 6;

/// A value with its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
}

/// An element of a collection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) key: Item<'a>,
    pub(crate) value: Option<Item<'a>>,
    pub(crate) score: Option<f64>,
    /// Milliseconds since boot; 0: never.
    pub(crate) deadline: u64,
}

/// Takes a number of bytes from the front of `bytes`.
pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(front)
}

pub(crate) fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    take(bytes, 1).map(|byte| byte[0])
}

pub(crate) fn take_f64(bytes: &mut &[u8]) -> Option<f64> {
    take(bytes, 8).and_then(|word| word.try_into().ok()).map(f64::from_le_bytes)
}

/// A varint of at most 32 bits: 7 bits a byte, the lowest first.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return u32::try_from(value).ok().map(|value| value as usize);
        }
    }
    None
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

impl<'a> Element<'a> {
    pub(crate) fn of(key: Item<'a>) -> Self {
        Self { key, value: None, score: None, deadline: 0 }
    }

    /// Takes the next element from the front of `bytes`.
    pub(crate) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let flags = take_byte(bytes)?;
        if flags & !ALL_FLAGS != 0 {
            return None;
        }
        let key_kind = take_byte(bytes)?;
        let value_kind = if flags & HAS_VALUE == 0 { None } else { Some(take_byte(bytes)?) };
        let key_len = take_varint(bytes)?;
        let value_len = if flags & HAS_VALUE == 0 { 0 } else { take_varint(bytes)? };
        let score = if flags & HAS_SCORE == 0 { None } else { Some(take_f64(bytes)?) };
        let deadline = if flags & HAS_DEADLINE == 0 { 0 } else { u48(take(bytes, DEADLINE_BYTES)?) };
        let key = Item { kind: key_kind, bytes: take(bytes, key_len)? };
        let value = match value_kind {
            Some(kind) => Some(Item { kind, bytes: take(bytes, value_len)? }),
            None => None,
        };
        Some(Self { key, value, score, deadline })
    }

    /// Its bytes when it is written.
    pub(crate) fn len(&self) -> usize {
        let value = self.value.map_or(0, |value| 1 + varint_len(value.bytes.len()) + value.bytes.len());
        let score = if self.score.is_some() { 8 } else { 0 };
        let deadline = if self.deadline == 0 { 0 } else { DEADLINE_BYTES };
        2 + varint_len(self.key.bytes.len()) + self.key.bytes.len() + value + score + deadline
    }

    /// Appends it to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let flags =
            [(self.value.is_some(), HAS_VALUE), (self.deadline != 0, HAS_DEADLINE), (self.score.is_some(), HAS_SCORE)];
        out.push(flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag));
        out.push(self.key.kind);
        if let Some(value) = self.value {
            out.push(value.kind);
        }
        put_varint(out, self.key.bytes.len());
        if let Some(value) = self.value {
            put_varint(out, value.bytes.len());
        }
        if let Some(score) = self.score {
            out.extend_from_slice(&score.to_le_bytes());
        }
        if self.deadline != 0 {
            out.extend_from_slice(&self.deadline.to_le_bytes()[..DEADLINE_BYTES]);
        }
        out.extend_from_slice(self.key.bytes);
        if let Some(value) = self.value {
            out.extend_from_slice(value.bytes);
        }
    }

    /// Whether its lifetime is over.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.deadline != 0 && now >= self.deadline
    }

    /// Where its deadline lies, from its first byte on. It has one.
    pub(crate) fn deadline_at(&self) -> usize {
        self.len() - self.key.bytes.len() - self.value.map_or(0, |value| value.bytes.len()) - DEADLINE_BYTES
    }
}

/// A number of 48 bits.
pub(crate) fn u48(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_read_as_it_was_written() {
        let long = vec![7; 300];
        let keys = [Item { kind: 1, bytes: b"" }, Item { kind: 6, bytes: b"field" }, Item { kind: 1, bytes: &long }];
        for key in keys {
            for value in [None, Some(Item { kind: 2, bytes: &[0; 8] }), Some(Item { kind: 9, bytes: &long })] {
                for (score, deadline) in [(None, 0), (Some(-0.5), 0), (None, 77), (Some(f64::INFINITY), (1 << 48) - 1)]
                {
                    let element = Element { key, value, score, deadline };
                    let mut bytes = Vec::new();
                    element.put(&mut bytes);
                    assert_eq!(bytes.len(), element.len());
                    assert_eq!(Element::take(&mut bytes.as_slice()), Some(element));
                    if deadline != 0 {
                        assert_eq!(u48(&bytes[element.deadline_at()..][..6]), deadline);
                    }
                    for cut in 0..bytes.len() {
                        assert_eq!(Element::take(&mut &bytes[..cut]), None);
                    }
                }
            }
        }
    }

    #[test]
    fn varints_of_more_than_32_bits_are_refused() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 21, 1 << 28, u32::MAX as usize] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value));
            assert_eq!(take_varint(&mut bytes.as_slice()), Some(value));
        }
        assert_eq!(take_varint(&mut [0xFF, 0xFF, 0xFF, 0xFF, 0x1F].as_slice()), None);
        assert_eq!(take_varint(&mut [0x80; 5].as_slice()), None);
    }
}
