//! Near copies of entries, and whether a process would still serve them.

use cache_machine_core::{Cache, NearDependencies, NoSink, ReadMode, TAG_CLOCK};
use cache_machine_shm::Header;

/// The dependencies of a near copy. While none of them changes, a process serves the copy and does not read the entry. It
/// also serves a copy with tags after the tag clock has moved, if the entry's tags were checked.
pub(crate) struct NearCopy {
    /// Index into the keys of the stage.
    pub(crate) key: usize,
    depends: NearDependencies,
    /// Offset of the epoch of its namespace.
    epoch_at: usize,
}

impl NearCopy {
    /// Words of one copy in shared memory.
    pub(crate) const WORDS: usize = 5;

    /// The words of a copy, if the entry exists and may be kept.
    pub(crate) fn note(cache: &Cache, name: &str) -> Option<[u64; Self::WORDS]> {
        let (cache, name) = match name.strip_prefix('@').and_then(|name| name.split_once('/')) {
            Some((space, name)) => (cache.in_namespace(space).unwrap(), name),
            None => (cache.clone(), name),
        };
        let meta = cache.get(name.as_bytes(), ReadMode::Peek, &mut NoSink).unwrap()?;
        let NearDependencies { word_at, generation, life, tag_clock } = meta.depends;
        let clock = tag_clock.unwrap_or(u64::MAX);
        (word_at != 0).then_some([word_at as u64, generation.into(), life, cache.epoch_offset() as u64, clock])
    }

    pub(crate) fn noted(key: usize, words: [u64; Self::WORDS]) -> Self {
        let [word_at, generation, life, epoch_at, clock] = words;
        let tag_clock = Some(clock).filter(|clock| *clock != u64::MAX);
        let depends = NearDependencies { word_at: word_at as usize, generation: generation as u32, life, tag_clock };
        Self { key, depends, epoch_at: epoch_at as usize }
    }

    /// Whether a process would serve this copy beside the segment of `cache`, which has this content.
    pub(crate) fn is_valid(&self, cache: &Cache, content: &[u8]) -> bool {
        let [root, own] = [Header::EPOCH, self.epoch_at].map(|at| number_at(content, at) & u64::from(u32::MAX));
        let life = if self.epoch_at == Header::EPOCH { root } else { root | own << 32 };
        let NearDependencies { word_at, generation, tag_clock, .. } = self.depends;
        let is_same = number_at(content, word_at) >> 32 == u64::from(generation) && life == self.depends.life;
        let is_checked = || cache.tag_clock_of_copy(word_at, generation).is_some();
        is_same && tag_clock.is_none_or(|clock| clock == number_at(content, TAG_CLOCK) || is_checked())
    }
}

fn number_at(content: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(content[at..at + 8].try_into().unwrap())
}
