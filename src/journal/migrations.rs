//! The migrations, embedded.

use std::sync::LazyLock;

use rusqlite_migration::{M, Migrations};

pub(super) const STEPS: [&str; 13] = [
    include_str!("../../migrations/0001_journal.sql"),
    include_str!("../../migrations/0002_lanes.sql"),
    include_str!("../../migrations/0003_steering.sql"),
    include_str!("../../migrations/0004_ids_in_any_case.sql"),
    include_str!("../../migrations/0005_rules.sql"),
    include_str!("../../migrations/0006_places.sql"),
    include_str!("../../migrations/0007_pace.sql"),
    include_str!("../../migrations/0008_last_word.sql"),
    include_str!("../../migrations/0009_grounds.sql"),
    include_str!("../../migrations/0010_chain_of_runs.sql"),
    include_str!("../../migrations/0011_run_keys.sql"),
    include_str!("../../migrations/0012_old_runs.sql"),
    include_str!("../../migrations/0013_notices.sql"),
];

pub(super) static MIGRATIONS: LazyLock<Migrations<'static>> =
    LazyLock::new(|| Migrations::new(STEPS.map(M::up).to_vec()));

pub(super) fn newest() -> i64 {
    i64::try_from(STEPS.len()).expect("a handful of migrations")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_migrations_are_valid() {
        super::MIGRATIONS.validate().unwrap();
    }
}
