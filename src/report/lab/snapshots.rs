//! Texts that are held against files.

use std::path::Path;

/// Compares with the file of that name; `UPDATE_SNAPSHOTS=1` writes it anew.
pub(crate) fn matches_snapshot(name: &str, found: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(found), String::from_utf8_lossy(&expected), "{name} (UPDATE_SNAPSHOTS=1)");
}
