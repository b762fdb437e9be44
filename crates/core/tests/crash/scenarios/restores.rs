//! A restore of a snapshot: entries that it stores, and older ones that it deletes.

use crate::scenarios::{BASE, Scenario, set};
use cache_machine_core::{Cache, RestoreRules, kind};

/// A version above those of the prepared segments.
const VERSION: u64 = 1 << 20;
/// The flag of a record with tags.
const WITH_TAGS: u8 = 2;

pub(crate) fn restores() -> Vec<Scenario> {
    let old: fn(&Cache) = |c| set(c, "target", b"old");
    vec![
        Scenario { name: "restore a new key", act: |c| restore(c, &record("target", 0, &[])), ..BASE },
        Scenario {
            name: "restore over an older one",
            prepare: old,
            act: |c| restore(c, &record("target", 0, &[])),
            ..BASE
        },
        Scenario {
            name: "restore with lifetime and tags",
            prepare: old,
            act: |c| restore(c, &record("target", 3_600_000, &[1, 2])),
            ..BASE
        },
        Scenario {
            name: "restore a snapshot instead of all entries",
            prepare: old,
            act: |c| {
                let kept: Vec<u8> = ["target", "e0", "e7"].iter().flat_map(|key| record(key, 0, &[])).collect();
                let floor = restore_all(c, &kept);
                let mut cursor = Some(0);
                while let Some(at) = cursor {
                    cursor = c.delete_older(at, floor).unwrap().next;
                }
            },
            together: &[],
            ..BASE
        },
    ]
}

fn restore(cache: &Cache, records: &[u8]) {
    restore_all(cache, records);
}

/// Begins a restore and stores `records`. Returns the floor of the restore.
fn restore_all(cache: &Cache, records: &[u8]) -> u64 {
    let made_at = cache.tag_clock();
    let floor = cache.begin_restore(VERSION).unwrap();
    let targets = [cache.restore_target(0).unwrap()];
    let rules = RestoreRules { targets: &targets, versions: &[], made_at, floor, epoch: 0, overwrite: true };
    let counts = cache.import(records, &rules).unwrap();
    assert!(counts.stored > 0, "{counts:?}");
    floor
}

/// A record of the root: see docs/snapshot-format.md. `deadline` is in milliseconds since the epoch; 0: never.
fn record(key: &str, deadline: u64, tags: &[u64]) -> Vec<u8> {
    let value = b"restored".repeat(40);
    let flags = if tags.is_empty() { 0 } else { WITH_TAGS };
    let mut bytes = (value.len() as u32).to_le_bytes().to_vec();
    bytes.extend([kind::BUFFER, flags, 0, tags.len() as u8]);
    bytes.extend((key.len() as u16).to_le_bytes());
    bytes.extend([0; 6]);
    for word in [1, 1, 0, deadline, 0] {
        bytes.extend(u64::to_le_bytes(word));
    }
    if !tags.is_empty() {
        bytes.extend(u64::to_le_bytes(0));
        tags.iter().for_each(|tag| bytes.extend(tag.to_le_bytes()));
    }
    bytes.extend(key.as_bytes());
    bytes.extend(value);
    bytes
}
