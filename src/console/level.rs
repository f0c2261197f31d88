//! Levels of messages.

/// Importance of a message, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    /// Decision, told with `-v`.
    Debug,
    /// Request, told with `-vv`.
    Trace,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// Returns the word before a message for people; `None` for the usual ones, which need none.
    pub(super) fn announced(self) -> Option<&'static str> {
        match self {
            Level::Info => None,
            Level::Error | Level::Warning | Level::Debug | Level::Trace => Some(self.name()),
        }
    }

    /// Returns the number by which syslog and journald know the level. source: sd-daemon(3), syslog(3)
    pub(super) fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        }
    }
}
