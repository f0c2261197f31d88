//! Refusals to record.

/// Refusal to record. Nothing that depends on the events may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRecorded {
    #[error("the journal takes nothing more")]
    ToAll,
    /// An event cannot follow those before it. Other lanes go on.
    #[error("the journal refused an event that cannot have happened")]
    ToLane,
}

/// Leaves a refusal to the lane that it is about, which sends nothing more: an error remains only where the journal is closed to all.
pub(crate) fn unless_to_lane(recorded: Result<(), NotRecorded>) -> Result<(), NotRecorded> {
    match recorded {
        Ok(()) | Err(NotRecorded::ToLane) => Ok(()),
        Err(closed @ NotRecorded::ToAll) => Err(closed),
    }
}
