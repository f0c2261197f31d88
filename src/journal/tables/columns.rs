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

/// Tells whether a text can be the id of a run: it is `[0-9a-z-]{1,40}` and does not begin like a flag.
pub(in crate::journal) fn is_run_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'-';
    (1..=40).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-')
}

pub(in crate::journal) fn not_ours(
    at: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
}
