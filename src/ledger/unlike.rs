//! Comparison of two standings of a row: the stored one, and the one that its events add up to.

use super::standing::Standing;
use crate::model::state::SeenState;
use crate::model::words::Word;

impl Standing {
    /// Returns the columns in which they differ. Rules belong to the run, and `unknown` has no column but follows from the events.
    pub(crate) fn unlike(&self, other: &Self) -> Vec<&'static str> {
        let same = [
            ("standing", self.phase == other.phase),
            ("started", self.started == other.started),
            ("attempts", self.attempts == other.attempts),
            ("throttled", self.throttled == other.throttled),
            ("doubted", self.doubted == other.doubted),
            ("looked", self.looked == other.looked),
            ("before", shown(self.before.as_ref()) == shown(other.before.as_ref())),
            ("after", shown(self.after.as_ref()) == shown(other.after.as_ref())),
            ("http_status", self.http_status == other.http_status),
            ("error_code", self.error_code == other.error_code),
            ("moved", shown(self.moved.as_ref()) == shown(other.moved.as_ref())),
            ("error_msg", self.error_msg == other.error_msg),
            ("request_id", self.request_id == other.request_id),
            ("first_sent_at", self.first_sent_at == other.first_sent_at),
            ("last_sent_at", self.last_sent_at == other.last_sent_at),
            ("settled_at", self.settled_at == other.settled_at),
            ("reason", self.reason == other.reason),
            ("ground", self.ground == other.ground),
            ("last_word", self.last_word == other.last_word),
        ];
        same.iter().filter(|(_, same)| !same).map(|(column, _)| *column).collect()
    }
}

/// Spelling of a seen state to the letter, since `==` on words equates `init` and `initialize`. A look that showed neither field is
/// stored as none.
fn shown(seen: Option<&SeenState>) -> [Option<&str>; 2] {
    let word = |of: fn(&SeenState) -> &Option<Word>| seen.and_then(|seen| of(seen).as_ref()).map(Word::as_str);
    [word(|seen| &seen.copystate), word(|seen| &seen.migrationcycle)]
}
