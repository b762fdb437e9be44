//! S3-FIFO (Yang et al., SOSP '23, and its authors' libCacheSim) by number of objects, written plainly. Our own policy,
//! which works by bytes in a shard, is compared with it.

use std::collections::{BTreeMap, HashMap, VecDeque};

pub(crate) struct S3Fifo {
    objects: usize,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    has_evicted: bool,
    /// Reads of the present keys, counted up to 3.
    reads: HashMap<u32, u8>,
    /// Keys by the order in which they left the small queue, and that order by key.
    ghosts: BTreeMap<u64, u32>,
    left_at: HashMap<u32, u64>,
    leavings: u64,
}

impl S3Fifo {
    pub(crate) fn new(objects: usize) -> Self {
        Self {
            objects,
            small: VecDeque::new(),
            main: VecDeque::new(),
            has_evicted: false,
            reads: HashMap::new(),
            ghosts: BTreeMap::new(),
            left_at: HashMap::new(),
            leavings: 0,
        }
    }

    /// True: a hit. Otherwise the key is stored.
    pub(crate) fn request(&mut self, key: u32) -> bool {
        if let Some(reads) = self.reads.get_mut(&key) {
            *reads = (*reads + 1).min(3);
            return true;
        }
        let is_known = self.take_ghost(key);
        while self.reads.len() >= self.objects {
            self.has_evicted = true;
            self.evict();
        }
        self.reads.insert(key, 0);
        let skips = !self.has_evicted && self.small.len() >= self.small_share();
        if is_known || skips {
            self.main.push_front(key)
        } else {
            self.small.push_front(key)
        }
        false
    }

    fn small_share(&self) -> usize {
        self.objects / 10
    }

    fn evict(&mut self) {
        if self.small.is_empty() || self.main.len() > self.objects - self.small_share() {
            self.evict_main();
        } else {
            self.evict_small();
        }
    }

    fn evict_small(&mut self) {
        while let Some(key) = self.small.pop_back() {
            if self.reads[&key] < 2 {
                self.reads.remove(&key);
                self.add_ghost(key);
                return;
            }
            self.reads.insert(key, 0);
            self.main.push_front(key);
        }
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.main.pop_back() {
            let reads = self.reads[&key];
            if reads == 0 {
                self.reads.remove(&key);
                return;
            }
            self.reads.insert(key, reads - 1);
            self.main.push_front(key);
        }
    }

    fn add_ghost(&mut self, key: u32) {
        self.leavings += 1;
        self.ghosts.insert(self.leavings, key);
        self.left_at.insert(key, self.leavings);
        if self.ghosts.len() > self.objects * 9 / 10
            && let Some((_, oldest)) = self.ghosts.pop_first()
        {
            self.left_at.remove(&oldest);
        }
    }

    fn take_ghost(&mut self, key: u32) -> bool {
        self.left_at.remove(&key).and_then(|order| self.ghosts.remove(&order)).is_some()
    }
}
