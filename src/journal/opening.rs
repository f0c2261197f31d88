//! Opening of a journal: to write, to read beside a writer, and to read where nothing can be written.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::beside::beside;
use super::connection::{Access, Journal};
use super::error::JournalError;
use super::index::LogHead;
use super::place::JournalFiles;
use super::{alone, making, migrations, objects, one_name, schema};
use crate::files;

/// Largest file, in bytes, on which a `quick_check` makes nobody wait.
const QUICK_CHECK_BELOW: u64 = 64 << 20;
/// Page cache, in KiB, of a connection that reads beside another one.
const CACHE_KIB: i64 = 8 << 10;
/// Time to wait for a journal that another process has locked.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// Time to wait for files beside a journal to go that lie there only while another process makes it or switches it to a log.
const BESIDE_FOR: Duration = Duration::from_millis(500);

impl Journal {
    /// Opens a journal to write: it is made if absent, brought up to date, and checked if the last launch died.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        // Of two launches that make one journal at the same moment one fails, since the switch to WAL does not wait, whatever the
        // busy timeout. A moment later the journal is made.
        patiently(|| Self::open_once(path))
    }

    /// Refuses a path at which no journal can be or be made, or not safely.
    pub(crate) fn check_place(path: &Path) -> Result<(), JournalError> {
        if path.is_dir() {
            return Err(JournalError::Folder(path.to_owned()));
        }
        one_name::check(path)?;
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
                Err(JournalError::NoFolder(folder.to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn open_once(path: &Path) -> Result<Self, JournalError> {
        Self::check_place(path)?;
        // If this fails, SQLite makes the file below, or says why it cannot.
        _ = making::make(path);
        // A file that SQLite makes can be read by everybody.
        _ = files::open::create_new(path, files::mode::private_mode(files::folder::folder_of(path)));
        let mut journal = Self::connect(path, Access::Write)?;
        journal.recognise()?;
        objects::must_all_be_ours(&journal.conn)?;
        if schema::is_of_newest(&journal.conn)? {
            journal.must_not_be_an_excerpt()?;
        }
        journal.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        schema::tune(&journal.conn)?;
        schema::migrate(&mut journal.conn)?;
        journal.check_after_unclean_end()?;
        // Read before the content is checked: later writes by others have to be checked again.
        journal.others = written_by_others(&journal.conn)?;
        Ok(journal)
    }

    /// Tells whether later writes by others are seen. A journal that nobody could write to when it was opened is read as a file
    /// that does not change.
    #[must_use]
    pub(crate) fn sees_changes(&self) -> bool {
        match self.access {
            Access::Write | Access::Read => true,
            Access::ReadStill | Access::ReadWithLog => false,
        }
    }

    /// Opens a journal to read: another process may be writing, and the file and its folder may be read-only.
    pub fn open_to_read(path: &Path) -> Result<Self, JournalError> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(JournalError::Folder(path.to_owned())),
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(JournalError::Absent(path.to_owned())),
            Err(source) => return Err(JournalError::Unreadable { path: path.to_owned(), source }),
        }
        one_name::check(path)?;
        let mut journal = Self::reading(path)?;
        if let Some(version) = schema::older(&journal.conn)? {
            // Opened once to write, which brings it up to date.
            drop(journal);
            drop(Self::open(path).map_err(|error| {
                let known = migrations::newest();
                if error.is_about_writing() { JournalError::Older { version, known } } else { error }
            })?);
            journal = Self::reading(path)?;
        }
        let n_tables: i64 = journal.conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if n_tables == 0 {
            return Err(JournalError::NoRuns);
        }
        objects::tables_must_be_ours(&journal.conn)?;
        Ok(journal)
    }

    fn reading(path: &Path) -> Result<Self, JournalError> {
        patiently(|| Self::reading_once(path))
    }

    fn reading_once(path: &Path) -> Result<Self, JournalError> {
        let journal = Self::connect(path, Access::Read)?;
        let error = match journal.recognise() {
            Ok(()) => return Ok(journal),
            // Reads the first page, and with it opens the log and its index.
            Err(error) if error.is_about_writing() => error,
            Err(error) => return Err(error),
        };
        let access = match (has_content(&beside(path, "-wal")), beside(path, "-shm").exists()) {
            (false, _) => Access::ReadStill,
            (true, false) => Access::ReadWithLog,
            // Another process may be writing.
            (true, true) => return Err(error),
        };
        let journal = Self::connect(path, access)?;
        journal.recognise()?;
        Ok(journal)
    }

    /// Interrupts every read from here on once `is_over` returns true; the read ends with [`JournalError::Abandoned`].
    pub(crate) fn read_until(&self, is_over: impl Fn() -> bool + Send + 'static) -> Result<(), JournalError> {
        // About a tenth of a millisecond between two checks.
        const STEPS: i32 = 10_000;
        Ok(self.conn.progress_handler(STEPS, Some(is_over))?)
    }

    /// Returns the rights of its file.
    pub(crate) fn mode(&self) -> u32 {
        fs::metadata(&self.path).map_or(files::mode::PRIVATE, |found| found.permissions().mode() & 0o666)
    }

    /// Returns its files as they are now, so that it can be noticed when they are moved, deleted or replaced.
    pub(crate) fn place(&self) -> Result<JournalFiles, JournalError> {
        JournalFiles::at(&self.path).map_err(|source| JournalError::Unreadable { path: self.path.clone(), source })
    }

    /// Writes the log back into the file, as far as its readers permit. Returns false if they hold some of it: until they let go,
    /// the log grows with every commit.
    ///
    /// source: `sqlite.org/pragma.html#pragma_wal_checkpoint`
    pub(crate) fn write_back(&self) -> Result<bool, JournalError> {
        let (in_log, written): (i64, i64) =
            self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        Ok(written >= in_log)
    }

    /// Tells whether the journal is in WAL mode while its log is missing or empty.
    pub(crate) fn is_without_log(&self) -> Result<bool, JournalError> {
        let mode: String = self.conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        Ok(mode == "wal" && !has_content(&beside(&path, "-wal")))
    }

    /// Removes a journal that was made for a run which did not come.
    pub(crate) fn remove_if_empty(self) -> Result<(), JournalError> {
        if !self.runs()?.is_empty() {
            return Ok(());
        }
        // Closed first, which removes what SQLite keeps beside it.
        let Self { conn, path, .. } = self;
        drop(conn);
        fs::remove_file(&path).map_err(|source| JournalError::Unreadable { path, source })
    }

    /// Opens another connection to the same file, to read beside this one.
    pub fn again(&self) -> Result<Self, JournalError> {
        let access = if self.access == Access::Write { Access::Read } else { self.access };
        let journal = Self::connect(&self.path, access)?;
        journal.conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(journal)
    }

    /// Copies the whole journal as of one instant, also while a run goes on, to one file that needs no other beside it.
    pub fn copy_to(&self, path: &Path) -> Result<(), JournalError> {
        let mut copy = alone::connect_to_copy(path)?;
        let failed = |source| alone::copy_failed(path, source);
        Backup::new(&self.conn, &mut copy)?.run_to_completion(10_000, Duration::ZERO, None).map_err(failed)?;
        copy.pragma_update(None, "journal_mode", "DELETE").map_err(failed)
    }

    pub(super) fn connect(path: &Path, access: Access) -> Result<Self, JournalError> {
        refuse_what_is_beside(path)?;
        let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match access {
            Access::Write => {
                let write = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                Connection::open_with_flags(path, write | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            }
            Access::Read => Connection::open_with_flags(path, read),
            Access::ReadStill => Connection::open_with_flags(still(path), read | OpenFlags::SQLITE_OPEN_URI),
            Access::ReadWithLog => Connection::open_with_flags_and_vfs(path, read, c"unix-none"),
        };
        let conn = conn.map_err(|source| match (access, files::open::open_at_once(path)) {
            // The system's error says the reason more clearly.
            (Access::Read, Err(source)) => JournalError::Unreadable { path: path.to_owned(), source },
            (_, _) => JournalError::Unopenable { path: path.to_owned(), source },
        })?;
        schema::harden(&conn)?;
        match access {
            // Nothing of its log is written back before the file is known to be a journal of ours.
            Access::Write => _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?,
            Access::ReadStill => (),
            Access::Read => conn.busy_timeout(Duration::from_secs(30))?,
            Access::ReadWithLog => conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?,
        }
        Ok(Self {
            conn,
            path: path.to_owned(),
            access,
            open: HashMap::new(),
            schema: None,
            ours: HashMap::new(),
            minds_heads: false,
            others: 0,
            told_as: None,
            minds_rows: false,
        })
    }

    /// Checks that it is a journal of ours and that its size is a whole number of pages: SQLite notices a missing page, but not
    /// half a page.
    fn recognise(&self) -> Result<(), JournalError> {
        schema::recognise(&self.conn)?;
        let page: u64 = self.conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let size = fs::metadata(&self.path).map_or(0, |data| data.len());
        match size {
            size if size.is_multiple_of(page) => Ok(()),
            // Shorter than one page: no database at all.
            size if size < page => Err(JournalError::NotAJournal),
            _ => Err(JournalError::Damaged("the file ends in the middle of a page".to_owned())),
        }
    }

    /// Checks all pages if a run is still marked as running, which means that its launch died; files over [`QUICK_CHECK_BELOW`]
    /// are not checked.
    fn check_after_unclean_end(&self) -> Result<(), JournalError> {
        let unclean: bool =
            self.conn.query_row("SELECT EXISTS (SELECT 1 FROM run WHERE running = 1)", [], |row| row.get(0))?;
        let size = fs::metadata(&self.path).map_or(0, |data| data.len());
        if !unclean || size >= QUICK_CHECK_BELOW {
            return Ok(());
        }
        self.check_pages()
    }

    /// Checks that no bytes follow the last page, where SQLite would not read them. Passes while there is a log, which may have
    /// dropped pages that are still in the file.
    ///
    /// source: sqlite.org/wal.html (checkpointing), `sqlite.org/pragma.html#pragma_page_count`
    pub(crate) fn check_end(&self) -> Result<(), JournalError> {
        // What others write from the first read on is still in the log when that is looked at.
        self.at_one_instant(|| {
            let [page, n_pages] = ["page_size", "page_count"]
                .map(|pragma| self.conn.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0)));
            let ends_at = page?.saturating_mul(n_pages?);
            let n_behind = fs::metadata(&self.path).map_or(0, |data| data.len()).saturating_sub(ends_at);
            if n_behind == 0 || has_content(&beside(&self.path, "-wal")) {
                return Ok(());
            }
            Err(JournalError::Damaged(format!("{n_behind} bytes stand behind its last page")))
        })
    }

    /// Checks that all pages belong to an intact database. Reads all of them.
    pub(crate) fn check_pages(&self) -> Result<(), JournalError> {
        let found: String = self.conn.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(JournalError::Damaged(found)) }
    }
}

/// Opens a journal, and tries again as long as the error may pass.
fn patiently(open: impl Fn() -> Result<Journal, JournalError>) -> Result<Journal, JournalError> {
    let asked = Instant::now();
    loop {
        match open() {
            Err(error) if may_pass_within(&error).is_some_and(|within| asked.elapsed() < within) => {
                std::thread::sleep(BUSY_FOR / 200);
            }
            opened => return opened,
        }
    }
}

/// Returns the time within which an error may pass because another process is at work on the file; `None` if it will not.
fn may_pass_within(error: &JournalError) -> Option<Duration> {
    let is_beside = matches!(error, JournalError::Beside { .. });
    error.is_busy().then_some(BUSY_FOR).or(is_beside.then_some(BESIDE_FOR))
}

/// Refuses a rollback journal, which SQLite would silently apply to the file, and a log that is none, which it would silently
/// ignore. This program leaves neither: its journals have a log.
///
/// source: sqlite.org/fileformat2.html (sections 3 and 4.1), sqlite.org/lockingv3.html (section 4.1)
fn refuse_what_is_beside(path: &Path) -> Result<(), JournalError> {
    // The journal is the file that a link points to.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let begins = |suffix| {
        let mut head = Vec::new();
        let beside = beside(&path, suffix);
        let is_file = fs::metadata(&beside).is_ok_and(|found| found.is_file());
        let file = is_file.then(|| File::open(&beside).ok()).flatten();
        file.and_then(|file| file.take(LogHead::SIZE).read_to_end(&mut head).ok());
        (beside, head)
    };
    let (half_written, head) = begins("-journal");
    if head.first().is_some_and(|first| *first != 0) {
        let what = "is a change that another program has written by half";
        return Err(JournalError::Beside { path: half_written, what });
    }
    let (log, head) = begins("-wal");
    if LogHead::may_begin_with(&head) {
        Ok(())
    } else {
        Err(JournalError::Beside { path: log, what: "is no log of SQLite" })
    }
}

/// Returns a number that changes whenever another connection has written to the file, and never through writes of this one.
///
/// source: `sqlite.org/pragma.html#pragma_data_version`
pub(super) fn written_by_others(conn: &Connection) -> Result<i64, JournalError> {
    let mut statement = conn.prepare_cached("PRAGMA data_version")?;
    statement.query_row([], |row| row.get(0)).map_err(JournalError::from)
}

fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

/// Returns the URI by which SQLite opens a file that does not change.
///
/// source: sqlite.org/uri.html
fn still(path: &Path) -> String {
    const NOT_PLAIN: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
    format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_encoded_bytes(), NOT_PLAIN))
}
