//! Example plans that `init` writes: rows, and a plan file that carries them out.

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

/// A commented plan file in TOML, for the rows of [`EXAMPLE_CSV`] beside it.
pub const EXAMPLE_TOML: &str = "\
# A plan file: which rows, in which waves, and what has to hold for going on. `cutover check` says what is wrong with it.
# What is commented out is off, or as the settings have it. Flags and CUTOVER_… win over what stands here.

name = \"example\"
# ticket = \"CHG-4711\"
# reason = \"move to the new site\"

# Nothing is sent before so many people agreed to the sealed plan:
# `cutover plan plan.toml -o sealed.plan`, then `cutover approve sealed.plan --as NAME`, then `cutover run sealed.plan`.
# require_approvals = 2

# Rows: CSV, TSV or JSON Lines beside this file. Here they name their waves; a wave may also have `files` of its own.
files = [\"plan.csv\"]
# rows = [{ source_id = \"dcdbe339-b02d-4578-95a1-9c9c547d0009\", wave = \"main\" }]

# What rows have that say nothing else.
[defaults]
migrationcycle = \"syncing\"
# copystate = \"stopped\"
# target = \"prod-a\"

# The accounts that rows may name, where their profile in the settings has another name.
# [targets.prod-a]
# profile = \"account-0815\"

# Settings of this plan's runs.
[policy]
rate = 5
# concurrency = 4
# attempts = 5
# verify_timeout = \"30s\"
# max_changes = 100
# max_drift = 0
# approval_timeout = \"30m\"

# When the whole run stops; what is on its way is settled, the rest stays pending.
[halt]
max_failed = \"5%\"
# min_sample = 20
# consecutive_failures = 5
# same_cause = 3

# When changes may be sent. A wave that would not end in time does not begin.
# [window]
# hours = \"22:00-04:00\"
# timezone = \"Europe/Berlin\"
# deadline = \"2026-11-24T04:00\"
# reserve_rollback = true

# Commands around the run and around each wave, for the shell, in this file's folder. JSON on standard input says which run and wave it
# is. One before a run or a wave that does not end with 0 in time is a veto. They run once somebody trusted them here: `cutover trust
# plan.toml`.
# [hooks]
# before_run = \"./checks.sh\"
# before_wave = \"./maintenance.sh on\"
# after_wave = \"./maintenance.sh off\"
# after_run = \"logger -t cutover ended\"
# timeout = \"60s\"

# Waves run in this order, each when the one before it is over and has soaked.
[[waves]]
name = \"pilot\"
# soak = \"15m\"

# The first rows go alone; the rest of the wave waits until they are proven, have soaked, and somebody agrees.
[waves.canary]
rows = 1                  # or \"10%\", spread over accounts and first names
halt = { same_cause = 1 }
# soak = \"5m\"
# approval = true         # `cutover control release pilot`

[[waves]]
name = \"main\"
rate = 2
concurrency = 2
# approval = true
halt = { max_failed = 0 }
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
        let checked = plan::check(&source, &reading).unwrap();
        assert_eq!((checked.n_rows, checked.waves), (3, vec!["pilot".to_owned(), "main".to_owned()]));
    }

    fn read_strictly(folder: &std::path::Path, name: &str, text: &str) -> plan::Checked {
        std::fs::write(folder.join(name), text).unwrap();
        let source = Source::open(&folder.join(name)).unwrap();
        let reading = plan::Reading { strict: true, ..plan::Reading::default() };
        plan::check(&source, &reading).unwrap()
    }

    #[test]
    fn the_example_plan_file_has_no_errors_and_no_warnings() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plan.csv"), EXAMPLE_CSV).unwrap();
        let as_it_is = read_strictly(folder.path(), "plan.toml", EXAMPLE_TOML);
        assert_eq!((as_it_is.n_rows, as_it_is.waves), (3, vec!["pilot".to_owned(), "main".to_owned()]));
        // Commented-out settings are valid, too.
        let all: String = EXAMPLE_TOML.lines().map(|line| uncommented(line).to_owned() + "\n").collect();
        let all_of_it = read_strictly(folder.path(), "all.toml", &all);
        assert_eq!((all_of_it.n_rows, all_of_it.accounts), (4, vec!["prod-a".to_owned()]));
        assert_eq!(all_of_it.terms.require_approvals, 2);
    }

    /// Removes the comment mark from a line that would be TOML without it.
    fn uncommented(line: &str) -> &str {
        let inside = line.strip_prefix("# ").unwrap_or(line);
        let is_toml = inside.starts_with('[') || inside.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        if is_toml { inside } else { line }
    }
}
