//! Request traces for hit ratios: traces of a folder, and made ones. A request is the number of a key: a get, and a set
//! after a miss.

use crate::support::Random;
use flate2::read::GzDecoder;
use std::fs::{File, read_to_string};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A trace and a number of objects, with the known hit ratios of other policies as percentages.
pub(crate) struct Cell {
    pub(crate) trace: String,
    pub(crate) objects: usize,
    /// The name and the hit ratio of each policy.
    pub(crate) references: Vec<(String, f64)>,
}

impl Cell {
    pub(crate) fn reference(&self, policy: &str) -> f64 {
        let found = self.references.iter().find(|(name, _)| name == policy);
        found.unwrap_or_else(|| panic!("no hit ratio of {policy} for {}", self.trace)).1
    }
}

/// The folder of the traces: `TRACES`, or `shared/traces` beside the project.
pub(crate) fn folder() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    std::env::var_os("TRACES").map_or(beside, PathBuf::from)
}

/// The cells of the table in the folder's README: `trace`, `size` and a column for each policy. None if there is no
/// such file.
pub(crate) fn cells(folder: &Path) -> Vec<Cell> {
    let text = read_to_string(folder.join("README.md")).unwrap_or_default();
    let mut rows = text.lines().filter(|line| line.starts_with('|')).map(row).skip_while(|row| !is_head(row));
    let Some(head) = rows.next() else {
        return Vec::new();
    };
    rows.skip(1).map(|row| cell(&head, &row)).collect()
}

fn row(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn is_head(row: &[String]) -> bool {
    row.len() > 2 && row[0] == "trace" && row[1] == "size"
}

fn cell(head: &[String], row: &[String]) -> Cell {
    let percent = |(name, text): (&String, &String)| (name.clone(), text.parse().expect("a percentage"));
    Cell {
        trace: row[0].clone(),
        objects: row[1].parse().expect("a number of objects"),
        references: head.iter().zip(row).skip(2).map(percent).collect(),
    }
}

/// The requests of a trace of the folder.
pub(crate) fn read(folder: &Path, trace: &str) -> io::Result<Vec<u32>> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(folder.join(format!("{trace}.u32.gz")))?).read_to_end(&mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))).collect())
}

/// Keys in a ring that is larger than the cache. An LRU never hits.
pub(crate) fn ring(keys: u32, requests: usize) -> Vec<u32> {
    (0..requests as u32).map(|i| i % keys).collect()
}

/// Keys by a power law, with a scan now and then of keys that never come again.
pub(crate) fn hot_with_scans(keys: u32, requests: usize) -> Vec<u32> {
    let mut random = Random(20_231_023);
    let mut stranger = keys;
    let mut scan = 0;
    (0..requests)
        .map(|_| {
            if scan == 0 && random.below(2000) == 0 {
                scan = 1000;
            }
            if scan > 0 {
                scan -= 1;
                stranger += 1;
                return stranger;
            }
            // Uniform in the exponent, so the frequency of a key is inverse to its rank.
            let exponent = random.below(1 << 20) as f64 / f64::from(1 << 20);
            f64::from(keys).powf(exponent) as u32 - 1
        })
        .collect()
}
