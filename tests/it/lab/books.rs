//! Books of a run: what the service saw, held against what the journal says.

use std::collections::HashMap;

use super::journal::{Journal, Row};
use super::served::{Request, Served};

/// State of things when the books were last balanced.
#[derive(Default)]
pub(crate) struct Balance {
    /// Settled rows, each with the number of changes that the server had seen of it.
    settled: HashMap<String, usize>,
}

/// Checks the four rules that hold after every kill: (1) the server never saw a change that the journal does not have as
/// begun; (2) no settled row was sent again; (3) no row in doubt was sent again before it was read; (4) every row that the
/// journal calls done is on target at the server.
#[track_caller]
pub(crate) fn balance_the_books(sandbox: &Served, journal: &Journal, before: Balance) -> Balance {
    let (rows, sent) = (journal.rows(), journal.sent());
    let (ledger, truth) = (sandbox.ledger(), sandbox.truth());
    let mut n_changes: HashMap<String, usize> = HashMap::new();
    for change in ledger.iter().filter(|request| request.is_change()) {
        *n_changes.entry(change.source_id.clone().unwrap()).or_default() += 1;
    }
    for (id, n) in &n_changes {
        let n_sent = sent.get(id).copied().unwrap_or(0);
        assert!(*n <= n_sent, "rule 1: the server saw {n} changes of {id}, the journal knows {n_sent}");
    }
    for (id, n) in before.settled {
        assert_eq!(n_changes.get(&id).copied().unwrap_or(0), n, "rule 2: {id} was settled and sent again");
    }
    nothing_is_sent_again_unseen(&ledger);
    for row in rows.iter().filter(|row| row.verdict == "applied" || row.verdict == "already") {
        assert!(row.is_on_target(&truth[&row.source_id]), "rule 4: {row:?} is {:?}", truth[&row.source_id]);
    }
    let settled = rows.into_iter().filter(Row::is_settled);
    Balance {
        settled: settled
            .map(|row| (row.source_id.clone(), n_changes.get(&row.source_id).copied().unwrap_or(0)))
            .collect(),
    }
}

/// Checks rule 3: an answer of 4xx means that nothing was done; after any other ending, an answered read comes first.
#[track_caller]
pub(crate) fn nothing_is_sent_again_unseen(ledger: &[Request]) {
    let mut in_doubt: HashMap<&str, &Request> = HashMap::new();
    for request in ledger {
        match request.source_id.as_deref() {
            Some(id) if request.is_change() => {
                if let Some(first) = in_doubt.get(id) {
                    panic!("rule 3: {id} was sent again before it was read\n{first:?}\n{request:?}");
                }
                if request.status.is_none_or(|status| !(400..500).contains(&status)) {
                    in_doubt.insert(id, request);
                }
            }
            Some(id) if request.shows(id) => _ = in_doubt.remove(id),
            _ => request.ids.iter().for_each(|id| _ = in_doubt.remove(id.as_str())),
        }
    }
}
