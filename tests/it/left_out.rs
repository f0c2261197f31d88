//! Tests that are left out, and say so. The unit tests of the crate use this file as well.

use std::io::Write as _;

/// Reports that a test is left out, and why; or fails.
///
/// # Panics
///
/// Panics where no test may be left out.
#[expect(clippy::disallowed_methods, reason = "a test that is left out is seen, too")]
pub(crate) fn left_out(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none_or(|set| set.is_empty()), "{why}");
    let thread = std::thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // The test harness shows output of macros only for failed tests; this is written past it, since the test passes.
    _ = std::io::stderr().write_all(format!("\n{line}").as_bytes());
    if let Some(list) = std::env::var_os("TESTS_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
    true
}
