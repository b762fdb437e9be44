//! Changes of collections. Each is the change of one entry, however many elements it has.

use crate::scenarios::entries::fragment;
use crate::scenarios::{BASE, Scenario};
use cache_machine_core::{Cache, NewCollection, Operation, kind};

pub(crate) fn collections() -> Vec<Scenario> {
    vec![
        Scenario { name: "push onto a new list", act: |c| push(c, 1), ..BASE },
        Scenario { name: "push onto a list", prepare: |c| push(c, 40), act: |c| push(c, 3), ..BASE },
        Scenario {
            name: "push onto a list in a fragmented shard",
            prepare: |c| {
                fragment(c);
                push(c, 60);
            },
            act: |c| push(c, 60),
            ..BASE
        },
        Scenario { name: "pop from a list", prepare: |c| push(c, 40), act: |c| pop(c, 2), ..BASE },
        Scenario { name: "pop the last item of a list", prepare: |c| push(c, 1), act: |c| pop(c, 1), ..BASE },
        Scenario {
            name: "put fields into a tagged hash",
            prepare: |c| put(c, &["a", "b"]),
            act: |c| put(c, &["b", "c", "d"]),
            ..BASE
        },
        Scenario {
            name: "change the score of a member",
            prepare: |c| ask(c, kind::SORTED_SET, &added(&[("a", 1.0), ("b", 2.0)])),
            act: |c| ask(c, kind::SORTED_SET, &added(&[("c", 0.5), ("a", 3.0)])),
            ..BASE
        },
    ]
}

fn ask(cache: &Cache, kind: u8, request: &[u8]) {
    let tags = [cache.tag("red")];
    let new = NewCollection { tags: &tags, ..NewCollection::default() };
    cache.collection(b"target", kind, request, &new, &mut Vec::new()).unwrap();
}

fn push(cache: &Cache, count: u8) {
    let items = (0..count).flat_map(|n| [0, kind::STRING, 20].into_iter().chain([b'a' + n; 20]));
    let request: Vec<u8> = [Operation::Push as u8, 0, 0].into_iter().chain(items).collect();
    ask(cache, kind::LIST, &request);
}

fn pop(cache: &Cache, count: u8) {
    ask(cache, kind::LIST, &[Operation::Pop as u8, 1, count]);
}

fn put(cache: &Cache, fields: &[&str]) {
    let mut request = vec![Operation::Put as u8, 0];
    for field in fields {
        let value = field.repeat(30);
        request.extend([1, kind::STRING, kind::STRING, field.len() as u8, value.len() as u8]);
        request.extend(field.bytes().chain(value.bytes()));
    }
    ask(cache, kind::HASH, &request);
}

fn added(members: &[(&str, f64)]) -> Vec<u8> {
    let mut request = vec![Operation::Add as u8, 0];
    for (member, score) in members {
        request.extend([4, kind::STRING, member.len() as u8]);
        request.extend(score.to_le_bytes());
        request.extend(member.bytes());
    }
    request
}
