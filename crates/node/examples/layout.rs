//! Prints `lib/native/layout.ts`, made from `src/layout.rs`. `npm run build` writes the file.
//!
//! It is an example, so that it links without Node; `cargo test` runs its tests.

#![allow(missing_docs, reason = "a program")]

#[path = "../src/layout.rs"]
#[allow(dead_code, reason = "the addon uses the numbers, this program the table")]
mod layout;

use layout::{Number, NumberGroup, SIZES, SLOT_GROUPS, Side, Slot, SlotGroup, number_groups, status_codes};
use std::fmt::Write;

fn main() {
    print!("{}", type_script());
}

/// The whole file, formatted as prettier does.
fn type_script() -> String {
    let mut out = String::from(
        "/**\n * The numbers that TypeScript and the native addon share. Generated from `crates/node/src/layout.rs` by\n * \
         `npm run build`; do not edit.\n */\n",
    );
    for (name, docs, value) in SIZES {
        let value = with_separators(*value);
        write!(out, "\n/** {docs} */\nexport const {name} = {value}\n").expect("a string takes all");
    }
    for SlotGroup { name, docs, slots, .. } in SLOT_GROUPS {
        let rows = slots.iter().map(|slot| (slot.name, docs_of_slot(slot), slot.index));
        write_group(&mut out, name, docs, rows);
    }
    for NumberGroup { name, docs, numbers } in &number_groups() {
        let rows = numbers.iter().map(|Number { name, docs, value }| (*name, trimmed(docs), *value as usize));
        write_group(&mut out, name, docs, rows);
    }
    out.push_str(
        "\n/** The error code of each status from 0 on; undefined: no error. */\nexport const STATUS_CODES = [\n",
    );
    for code in status_codes() {
        let code = code.map_or_else(|| "undefined".to_owned(), |code| format!("'{code}'"));
        writeln!(out, "  {code},").expect("a string takes all");
    }
    out.push_str("] as const\n");
    out
}

fn write_group<'t>(
    out: &mut String,
    name: &str,
    docs: &[&str],
    rows: impl Iterator<Item = (&'t str, Vec<String>, usize)>,
) {
    out.push('\n');
    write_docs(out, "", &trimmed(docs));
    writeln!(out, "export const {name} = {{").expect("a string takes all");
    for (name, docs, value) in rows {
        write_docs(out, "  ", &docs);
        let name = if name.contains('-') { format!("'{name}'") } else { name.to_owned() };
        writeln!(out, "  {name}: {value},").expect("a string takes all");
    }
    out.push_str("} as const\n");
}

/// What a slot is, and the calls that use it.
fn docs_of_slot(slot: &Slot) -> Vec<String> {
    let mut docs = trimmed(slot.docs);
    let calls: Vec<String> = slot.calls.iter().map(|call| format!("`{call}`")).collect();
    let calls = if slot.calls == ["all"] { "every raw call".to_owned() } else { calls.join(", ") };
    docs.push(match slot.filled_by {
        Side::Rust => format!("Filled by {calls}."),
        Side::TypeScript => format!("To be filled before each attempt of {calls}."),
    });
    docs
}

fn trimmed(docs: &[&str]) -> Vec<String> {
    docs.iter().map(|line| line.trim().to_owned()).collect()
}

fn write_docs(out: &mut String, indent: &str, docs: &[String]) {
    match docs {
        [] => {}
        [line] => writeln!(out, "{indent}/** {line} */").expect("a string takes all"),
        lines => {
            writeln!(out, "{indent}/**").expect("a string takes all");
            for line in lines {
                writeln!(out, "{indent} * {line}").expect("a string takes all");
            }
            writeln!(out, "{indent} */").expect("a string takes all");
        }
    }
}

/// As the linter wants long numbers.
fn with_separators(number: usize) -> String {
    let digits = number.to_string();
    let (front, groups) = digits.split_at(digits.len() % 3);
    let groups = groups.as_bytes().chunks(3).map(|group| std::str::from_utf8(group).expect("digits").to_owned());
    let parts: Vec<String> = (!front.is_empty()).then(|| front.to_owned()).into_iter().chain(groups).collect();
    if digits.len() > 4 { parts.join("_") } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layout::META_BYTES;
    use std::collections::HashSet;

    #[test]
    fn no_two_slots_share_a_byte_and_all_lie_inside_meta() {
        let mut owners: [Option<String>; META_BYTES] = [const { None }; META_BYTES];
        for group in SLOT_GROUPS {
            for slot in group.slots {
                let name = format!("{}.{}", group.name, slot.name);
                let start = slot.index * group.width;
                assert!(start + group.width <= META_BYTES, "{name} ends at byte {}", start + group.width);
                for owner in &mut owners[start..start + group.width] {
                    let before = owner.replace(name.clone());
                    assert_eq!(before, None, "{name} shares bytes");
                }
            }
        }
    }

    #[test]
    fn numbers_of_a_group_differ() {
        for group in number_groups() {
            let numbers: HashSet<u32> = group.numbers.iter().map(|number| number.value).collect();
            assert_eq!(numbers.len(), group.numbers.len(), "{}", group.name);
        }
    }

    #[test]
    fn demands_and_algorithms_do_not_share_bits() {
        let groups = number_groups();
        let numbers = |name: &str| groups.iter().find(|group| group.name == name).expect("a group").numbers.iter();
        assert!(numbers("Algorithm").all(|number| number.value & !layout::ALGORITHM_BITS == 0));
        assert!(numbers("Demand").all(|number| number.value & layout::ALGORITHM_BITS == 0));
    }

    #[test]
    fn the_file_for_type_script_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../lib/native/layout.ts");
        let file = std::fs::read_to_string(path).expect("lib/native/layout.ts");
        assert!(file == type_script(), "run `npm run build`");
    }
}
