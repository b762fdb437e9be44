//! Headers that are wrong, too short, or of an earlier boot.

use crate::scratch::{
    BOOT_AT, FINGERPRINT_AT, IDENTITY, LAYOUT, LAYOUT_AT, LEN, LEN_AT, STATE_AT, Scratch, TABLE_END, attach, create,
    destroy, writable,
};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{Found, HEADER_BYTES, Header, ShmError, State, boot_id};
use std::os::unix::fs::FileExt;

#[test]
fn a_header_that_contradicts_itself_is_reported_and_left_alone() {
    let scratch = Scratch::new("header");
    let file = scratch.made();
    let raw = writable(file.path());
    let mut good = [0; 64];
    raw.read_exact_at(&mut good, 0).unwrap();
    let with = |at: u64, bytes: &[u8]| {
        raw.write_all_at(&good, 0).unwrap();
        raw.write_all_at(bytes, at).unwrap();
        attach(&file).map(|_| ())
    };
    assert!(matches!(with(0, b"X"), Err(ShmError::Corrupt(_))));
    assert!(matches!(with(LAYOUT_AT, &8u32.to_le_bytes()), Err(ShmError::Version { found: 8, expected: LAYOUT })));
    assert!(matches!(with(FINGERPRINT_AT, &[1]), Err(ShmError::Corrupt(_))));
    assert!(matches!(with(STATE_AT, &[9]), Err(ShmError::Corrupt(_))));
    assert!(matches!(with(STATE_AT, &[State::Building as u8]), Err(ShmError::Corrupt(_))));
    for len in [0, 1, TABLE_END as u64 - 1, LEN as u64 + 4096, u64::MAX] {
        assert!(matches!(with(LEN_AT, &len.to_le_bytes()), Err(ShmError::Corrupt(_))), "{len}");
    }
    // A resize that died has made the file longer than the header says.
    with(LEN_AT, &(LEN as u64 - 4096).to_le_bytes()).unwrap();
    with(0, &good).unwrap();
    assert_eq!(scratch.left().len(), 1);
    // A header that cannot be read does not prevent a destroy.
    raw.write_all_at(b"X", 0).unwrap();
    assert!(destroy(&file, false).unwrap());
    assert!(scratch.left().is_empty());
}

/// The process table was read before the length of the file was checked.
#[test]
fn a_file_too_short_for_the_process_table_is_reported_whatever_its_header_says() {
    let scratch = Scratch::new("short");
    let file = scratch.made();
    let raw = writable(file.path());
    for len in [TABLE_END - 8, HEADER_BYTES + 64, HEADER_BYTES, HEADER_BYTES - 1, 64, 8, 0] {
        raw.set_len(len as u64).unwrap();
        if len >= 64 {
            raw.write_all_at(&(len as u64).to_le_bytes(), LEN_AT).unwrap();
            raw.write_all_at(&u32::MAX.to_le_bytes(), 68).unwrap();
        }
        assert!(matches!(attach(&file), Err(ShmError::Corrupt(_))), "{len}");
        let inspected = file.inspect(|region, probe, _| IDENTITY.table.living(region, probe, None).len());
        assert!(matches!(inspected, Ok(0) | Err(ShmError::Corrupt(_))), "{len}");
    }
    assert!(destroy(&file, false).unwrap());
}

#[test]
fn a_segment_of_an_earlier_boot_is_replaced_and_one_of_this_boot_is_kept() {
    let scratch = Scratch::new("boot");
    let file = scratch.made();
    attach(&file).unwrap().region().u64(Header::CACHE).store(5, Ordering::Relaxed);
    assert_eq!(attach(&file).unwrap().region().u64(Header::CACHE).load(Ordering::Relaxed), 5);
    let raw = writable(file.path());
    let segment = attach(&file).unwrap();
    raw.write_all_at(&(boot_id().unwrap() ^ 1).to_le_bytes(), BOOT_AT).unwrap();
    assert_eq!(file.check(IDENTITY).unwrap(), Found::EarlierBoot);
    // A segment in use cannot be of an earlier boot.
    assert!(matches!(attach(&file), Err(ShmError::Corrupt(_))));
    drop(segment);
    assert!(matches!(attach(&file), Err(ShmError::NotFound)));
    assert!(scratch.left().is_empty());
    assert!(create(&file));
    assert_eq!(attach(&file).unwrap().region().u64(Header::CACHE).load(Ordering::Relaxed), 0);
}
