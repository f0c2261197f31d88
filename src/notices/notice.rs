//! A notice as data: the document `cutover.notice.v1`, and the same as text for a chat.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::wording::plain::shortened;
use crate::wording::sieve::Form;
use crate::wording::times::time;

/// Occasion of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Occasion {
    Start,
    /// A wave waits for its release, or the run for the end of a pause.
    Waiting,
    /// The launch stops early, and settles what is on its way.
    Halt,
    /// The process ends, for whatever reason.
    End,
    /// `doctor --notify`.
    Test,
}

impl Occasion {
    /// Occasions that settings choose from.
    pub(crate) const CHOICES: [Occasion; 4] = [Occasion::Start, Occasion::Waiting, Occasion::Halt, Occasion::End];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Occasion::Start => "start",
            Occasion::Waiting => "waiting",
            Occasion::Halt => "halt",
            Occasion::End => "end",
            Occasion::Test => "test",
        }
    }
}

/// Notice about a launch. It holds no secret: whatever a service or a plan said was made fit to be shown before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    pub(crate) schema: &'static str,
    /// Id of the message, the same for each try and each receiver.
    pub(crate) id: String,
    pub(crate) about: Occasion,
    pub(crate) at: String,
    /// Machine and folder in which the next command works as it is written.
    pub(crate) host: String,
    pub(crate) folder: String,
    pub(crate) verb: &'static str,
    /// Sentence about the occasion.
    pub(crate) text: String,
    /// Absent for a launch that ended before it had a run.
    pub(crate) run: Option<String>,
    pub(crate) launch: Option<u32>,
    /// Name that the plan gives itself, or its file's.
    pub(crate) plan_name: Option<String>,
    pub(crate) plan: Option<NoticePlan>,
    /// Accounts of the run; empty for a launch without one.
    pub(crate) accounts: Vec<NoticeAccount>,
    pub(crate) counts: Option<NoticeCounts>,
    /// Most frequent cause for which rows are not on target.
    pub(crate) cause: Option<NoticeCause>,
    /// Present at the end.
    pub(crate) exit: Option<NoticeExit>,
    /// Command to type next.
    pub(crate) next: Option<String>,
    /// Anchor in the length in which people keep it, and in its full length.
    pub(crate) anchor: Option<String>,
    pub(crate) anchor_hash: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NoticePlan {
    pub(crate) path: String,
    pub(crate) digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NoticeAccount {
    pub(crate) name: String,
    pub(crate) endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NoticeCounts {
    pub(crate) rows: u32,
    pub(crate) on_target: u64,
    pub(crate) verdicts: BTreeMap<&'static str, u64>,
    pub(crate) pending: u64,
    pub(crate) in_doubt: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NoticeCause {
    pub(crate) verdict: String,
    pub(crate) rows: u64,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NoticeExit {
    pub(crate) code: u8,
    pub(crate) name: &'static str,
    pub(crate) reason: Option<String>,
}

/// Longest line of a message, in columns, so that a chat that cuts a text off does not lose its end.
const LONGEST_LINE: usize = 400;

impl Notice {
    /// Makes a notice of this moment, about no run.
    pub(crate) fn new(about: Occasion, verb: &'static str, text: String) -> Self {
        Self {
            schema: "cutover.notice.v1",
            id: format!("msg_{:032x}", rand::random::<u128>()),
            about,
            at: time(Timestamp::now()),
            host: crate::lock::host(),
            folder: std::env::current_dir().map_or_else(|_| "?".to_owned(), |folder| folder.display().to_string()),
            verb,
            text,
            run: None,
            launch: None,
            plan_name: None,
            plan: None,
            accounts: Vec::new(),
            counts: None,
            cause: None,
            exit: None,
            next: None,
            anchor: None,
            anchor_hash: None,
        }
    }

    /// Returns the document `cutover.notice.v1`.
    pub(crate) fn document(&self) -> String {
        Form::Json.fit(&serde_json::to_string(self).expect("a notice is plain data"))
    }

    /// Returns one line for the subject of a mail.
    pub(crate) fn subject(&self) -> String {
        let what = match (&self.exit, self.about) {
            (Some(exit), _) => format!("ended {} ({})", exit.code, exit.name),
            (None, about) => about.name().to_owned(),
        };
        let of = self.run.as_deref().unwrap_or(self.verb);
        Form::Text.fit(&format!("cutover {of} on {}: {what}", self.host)).replace('\n', " ")
    }

    /// Returns the notice as lines for people.
    pub(crate) fn message(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.subject(), self.text)];
        lines.extend(self.plan_name.iter().map(|name| format!("plan: {name}")));
        if !self.accounts.is_empty() {
            let named = self.accounts.iter().map(|NoticeAccount { name, endpoint }| format!("{name} at {endpoint}"));
            lines.push(format!("account: {}", named.collect::<Vec<_>>().join(", ")));
        }
        if let Some(NoticeCounts { rows, verdicts, pending, in_doubt, .. }) = &self.counts {
            let unsettled = [("pending", *pending), ("in doubt", *in_doubt)];
            let counted = verdicts.iter().map(|(verdict, n)| (*verdict, *n)).chain(unsettled);
            let counted: Vec<String> =
                counted.filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {}", what.replace('_', " "))).collect();
            lines.push(format!("rows: {rows} ({})", counted.join(", ")));
        }
        if let Some(reason) = self.exit.as_ref().and_then(|exit| exit.reason.as_deref()) {
            lines.push(format!("reason: {reason}"));
        }
        if let Some(NoticeCause { verdict, rows, text }) = &self.cause {
            lines.push(format!("first cause: {rows} {verdict}: {text}"));
        }
        if let Some(next) = &self.next {
            lines.push(format!("next, in {} on {}: {next}", self.folder, self.host));
        }
        if let Some(anchor) = &self.anchor {
            lines.push(format!("anchor: {anchor}"));
        }
        // What is to be typed or kept is whole, however long another line is.
        let whole = usize::from(self.next.is_some()) + usize::from(self.anchor.is_some());
        let n_others = lines.len() - whole;
        let fit = |(n, line): (usize, &String)| {
            let line = Form::Text.fit(line).replace('\n', " ");
            if n < n_others { shortened(&line, LONGEST_LINE) } else { line }
        };
        lines.iter().enumerate().map(fit).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Notice whose foreign texts would be markup in a chat.
    pub(in crate::notices) fn sample() -> Notice {
        Notice {
            id: "msg_1".to_owned(),
            at: "2026-11-28T04:00:00Z".to_owned(),
            host: "jump".to_owned(),
            folder: "/srv/night".to_owned(),
            run: Some("r1".to_owned()),
            launch: Some(1),
            plan_name: Some("night".to_owned()),
            accounts: vec![NoticeAccount { name: "prod".to_owned(), endpoint: "https://sms.example".to_owned() }],
            counts: Some(NoticeCounts {
                rows: 3,
                on_target: 1,
                verdicts: BTreeMap::from([("applied", 1), ("no_effect", 0), ("refused", 2)]),
                pending: 0,
                in_doubt: 0,
            }),
            cause: Some(NoticeCause {
                verdict: "refused".into(),
                rows: 2,
                text: "<at user_id=\"all\"> & [x]\u{1b}".into(),
            }),
            exit: Some(NoticeExit { code: 1, name: "not_on_target", reason: None }),
            next: Some("cutover retry r1".to_owned()),
            anchor: Some("AAAA-BBBB".to_owned()),
            ..Notice::new(Occasion::End, "run", "1 of 3 rows are on target; 2 need a look.".to_owned())
        }
    }

    #[test]
    fn a_notice_as_text_says_what_to_type_where_and_has_the_anchor() {
        let expected = "cutover r1 on jump: ended 1 (not_on_target): 1 of 3 rows are on target; 2 need a look.\n\
                        plan: night\n\
                        account: prod at https://sms.example\n\
                        rows: 3 (1 applied, 2 refused)\n\
                        first cause: 2 refused: <at user_id=\"all\"> & [x]\\u{1b}\n\
                        next, in /srv/night on jump: cutover retry r1\n\
                        anchor: AAAA-BBBB";
        assert_eq!(sample().message(), expected);
    }
}
