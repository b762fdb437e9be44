//! The Rust sources of this workspace, for tests that read them.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

/// Each source file of these crates, at any depth: `<crate>/<path below src>` and the text, sorted by path.
pub(crate) fn sources(crates: &[&str]) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of the crates");
    let of_crate = |name: &&str| {
        let root = folder.join(name).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        files.sort();
        let named = files.into_iter().map(|path| {
            let below = path.strip_prefix(&root).expect("a file below src").display().to_string();
            (format!("{name}/{below}"), read_to_string(&path).expect("a source file"))
        });
        named.collect::<Vec<_>>()
    };
    crates.iter().flat_map(of_crate).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
