//! Prints the tables of docs/segment-format.md: `cargo run -p cache-machine-core --example segment_format`.

fn main() {
    print!("{}", cache_machine_core::format_tables());
}
