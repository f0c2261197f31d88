//! A bad plan is answered whole, and nothing is sent.

use std::path::Path;

use crate::lab::{Lab, plan, shared};

#[test]
fn thirty_mistakes_are_thirty_lines_and_nothing_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("good.csv", &plan(3, "stopped,syncing"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/plans");
    std::fs::copy(folder.join("thirty_mistakes.csv"), lab.path("thirty_mistakes.csv")).unwrap();
    let expected = std::fs::read_to_string(folder.join("thirty_mistakes.txt")).unwrap();
    assert_eq!(expected.lines().count(), 30);
    let sandbox = lab.serve("good.csv", "");
    let run = lab.launch(&sandbox, &["run", "thirty_mistakes.csv"]).exits(2);
    let check = lab.cutover(&["check", "thirty_mistakes.csv"]).exits(2);
    for ended in [run, check] {
        let found: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("thirty_mistakes.csv:")).collect();
        assert_eq!(found, expected.lines().collect::<Vec<_>>());
        assert_eq!(ended.stdout, "");
    }
    assert_eq!(sandbox.ledger().len(), 0);
    assert!(!lab.path("cutover.db").exists());
}
