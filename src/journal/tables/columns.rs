//! Values of columns that stand in several tables.

use jiff::Timestamp;

/// Returns a flag: true for 1, false for 0 or NULL, and an error for any other number.
pub(in crate::journal) fn flag(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<bool> {
    match columns.get::<_, Option<i64>>(at)? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => {
            let error = format!("{other} is neither 0 nor 1").into();
            Err(rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Integer, error))
        }
    }
}

pub(in crate::journal) fn time_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let ms: Option<i64> = columns.get(at)?;
    ms.map(|ms| Timestamp::from_millisecond(ms).map_err(|error| not_ours(at, error))).transpose()
}

pub(in crate::journal) fn not_ours(
    at: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
}
