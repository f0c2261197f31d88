//! The example plan that `init` writes.

/// A commented plan in CSV that is read without an error or a warning.
pub const EXAMPLE_CSV: &str = "\
# A plan: one row for each source server, and the state that it shall have.
#
# The first line that is no comment names the columns: in any order, without regard to case, `-`, `_` or spaces.
#
#   source_id              the id that the service gave the server (also: id, server_id)
#   copystate              the state that it shall have (also: state, target_state)
#   migrationcycle         the stage that it shall have (also: cycle, stage); a row needs one of the two, best both
#   expect_copystate       refuse the row unless this is what is seen (also: from_state)
#   expect_migrationcycle  the same for the stage (also: from_cycle)
#   wave                   rows of one wave go together; waves run in order of first appearance
#   target                 the account that the server belongs to, if there are several (also: account, profile)
#   name, note             for you and the reports, never sent (also: hostname, comment)
#
# Other columns are kept for the reports. `cutover check` says what is wrong with a plan, and sends nothing.

source_id,copystate,migrationcycle,expect_copystate,wave,name,note
dcdbe339-b02d-4578-95a1-9c9c547d0001,stopped,syncing,syncing,pilot,web-1,\"first, because it is easy to replace\"
dcdbe339-b02d-4578-95a1-9c9c547d0002,stopped,syncing,syncing,pilot,web-2,
dcdbe339-b02d-4578-95a1-9c9c547d0003,finished,cutovered,,main,db-1,the target was launched by hand
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;
    use crate::plan::source::Source;

    #[test]
    fn the_example_is_a_plan_without_errors_and_warnings() {
        let source = Source::holding("plan.csv", EXAMPLE_CSV.as_bytes());
        let reading = plan::Reading { strict: true, ..plan::Reading::default() };
        let checked = plan::read(&source, &reading, |_| Ok::<_, ()>(())).unwrap();
        assert_eq!((checked.n_rows, checked.waves), (3, vec!["pilot".to_owned(), "main".to_owned()]));
    }
}
