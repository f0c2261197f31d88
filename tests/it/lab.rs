//! Laboratory of the black-box tests: a home directory, a served sandbox, launches of the binary, and a check of the books.
//!
//! Client and sandbox are separate processes, so that each can be killed without the other. A claim is read from the
//! sandbox's ledger and from the journal's public tables, never from printed text alone.

use std::fmt::Write as _;
use std::time::Duration;

pub(crate) mod books;
pub(crate) mod home;
pub(crate) mod journal;
pub(crate) mod launch;
pub(crate) mod machine;
pub(crate) mod served;

/// Longest time that a test waits for anything; enough on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Makes a plan of `vm-00001` and so on, all with one target.
pub(crate) fn plan(n: usize, target: &str) -> String {
    let mut text = String::from("source_id,copystate,migrationcycle\n");
    for i in 1..=n {
        writeln!(text, "{},{target}", id(i)).unwrap();
    }
    text
}

pub(crate) fn id(i: usize) -> String {
    format!("vm-{i:05}")
}
