//! Lists of the state words that the service knows, from its pages: for each word, the editions that accept it in writes, and whether
//! reads show it.

/// A word with its presence in three lists: writes of 2025-11, writes of 2026-01, reads.
pub(super) type WordEntry = (&'static str, [bool; 3]);

const X: bool = true;
const O: bool = false;

/// sources: writes of 2025-11: eu and intl api-sms/UpdateCopyState.html (English, 2025-11-27), huaweicloud-sdk-go-v3
/// v0.1.178 `services/sms/v3/model/model_put_copy_state_req.go`; writes of 2026-01: CN and eu
/// api-sms/UpdateCopyState.html (2026-01-27), the same file in v0.1.186, huaweicloud-sdk-python-v3 3.1.219
/// `huaweicloudsdksms/v3/model/put_copy_state_req.py`; reads: CN api-sms/ShowServer.html, intl
/// api-sms/ListServers.html, `huaweicloudsdksms/v3/model/show_server_response.py`.
pub(super) const COPYSTATES: [WordEntry; 21] = [
    ("unavailable", [X, X, X]),
    ("waiting", [X, X, X]),
    ("init", [O, X, O]),
    ("initialize", [X, O, X]),
    ("replicate", [X, X, X]),
    ("syncing", [X, X, X]),
    ("stopping", [X, X, X]),
    ("stopped", [X, X, X]),
    ("skipping", [X, X, X]),
    ("deleting", [X, X, X]),
    ("clearing", [X, X, X]),
    ("cleared", [X, X, X]),
    ("clearfailed", [X, X, X]),
    ("premigready", [X, X, X]),
    ("premiging", [O, X, O]),
    ("premiged", [X, X, X]),
    ("premigfailed", [X, X, X]),
    ("cloning", [X, X, X]),
    ("cutovering", [X, X, X]),
    ("finished", [X, X, X]),
    ("error", [X, X, X]),
];

/// sources: as above.
pub(super) const MIGRATIONCYCLES: [WordEntry; 10] = [
    ("no_ready", [O, X, O]),
    ("ready_for_test", [O, X, O]),
    ("testing", [O, X, O]),
    ("tested", [O, X, O]),
    ("checking", [X, X, X]),
    ("setting", [X, X, X]),
    ("replicating", [X, X, X]),
    ("syncing", [X, X, X]),
    ("cutovering", [X, X, X]),
    ("cutovered", [X, X, X]),
];

/// Returns the words of a table, regardless of the lists that have them.
pub(super) const fn words<const N: usize>(table: &[WordEntry; N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut i = 0;
    while i < N {
        words[i] = table[i].0;
        i += 1;
    }
    words
}

/// Tells whether some edition accepts the word in writes while no read ever shows it in any spelling.
pub(super) fn is_written_but_never_shown(word: &str) -> bool {
    let all = COPYSTATES.iter().chain(&MIGRATIONCYCLES);
    let mut spellings = all.filter(|(known, _)| canonical(known) == canonical(word)).peekable();
    spellings.peek().is_some() && spellings.all(|(_, [_, _, shown])| !shown)
}

/// Returns the spelling that stands for all spellings of a state.
pub(super) fn canonical(word: &str) -> &str {
    if word == "initialize" { "init" } else { word }
}

/// Tells whether a list has the word in exactly this spelling.
pub(super) fn has(table: &[WordEntry], word: &str) -> bool {
    table.iter().any(|(known, _)| *known == word)
}
