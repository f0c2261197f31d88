//! Files that a plan's hooks name, which are agreed to together with the plan: what is approved is not the name of a script.
//!
//! A command is a text for the shell. Of the files that its words name, those are covered that lie below the plan's folder, since
//! any of them may be run: `sh -e ./stop.sh` runs a file of any kind. Exempt is what changes while a run goes on: files that the
//! command writes (`>>night.log`), files that it only tests for (`test -e go`), empty ones, and journals. What a script calls in
//! turn is not covered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use crate::files::identity::FileId;
use crate::files::open::open_itself;
use crate::files::sum::sha256;
use crate::journal::chain::hex;

/// Beginning of a journal. source: <https://www.sqlite.org/fileformat2.html>, 1.3
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Characters that part words of the shell, or words in words.
const BETWEEN_WORDS: &str = "'\"`;|&<>()$={},";

/// Returns the files below a folder that a command names, each with its SHA-256 in hexadecimal digits.
pub(crate) fn files(command: &str, folder: &Path) -> BTreeMap<String, String> {
    let written = written(command, folder);
    let mut files = BTreeMap::new();
    for CommandWord { text, usage } in words(command) {
        if usage == Usage::MayRun
            && !written.contains(&folder.join(text))
            && let Some(mut file) = open_below(folder, text)
            && is_content(&mut file)
            && let Ok(digest) = digest(&mut file)
        {
            files.insert(text.to_owned(), digest);
        }
    }
    files
}

/// Returns the words of a command that seem to name files that it runs, and are not covered: paths that lead elsewhere or to nothing
/// yet, folders, patterns, files that it writes first, and a change of the folder, after which names have another meaning.
pub(crate) fn uncovered(command: &str, folder: &Path) -> BTreeSet<String> {
    let written = written(command, folder);
    let is_uncovered = |word: &CommandWord<'_>| {
        let (text, path) = (word.text, folder.join(word.text));
        let changes_folder = ["cd", "pushd", "chdir"].contains(&text);
        let is_pathlike = text.contains(['/', '*', '?', '~', '\\']) && text != "/dev/null";
        let is_folder = text != "." && path.is_dir();
        // The parts of other words are looked at one by one.
        let is_one = text.contains('$') || !text.contains(|c| BETWEEN_WORDS.contains(c));
        let leads_elsewhere = is_one && is_pathlike && below(folder, text).is_none();
        word.usage == Usage::MayRun && (changes_folder || is_folder || leads_elsewhere || written.contains(&path))
    };
    words(command).filter(is_uncovered).map(|word| word.text.to_owned()).collect()
}

/// Word of a command.
struct CommandWord<'c> {
    text: &'c str,
    usage: Usage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    MayRun,
    /// The output goes to this file.
    Written,
    /// Its existence is tested.
    Tested,
}

/// Files that a command writes, as it names them.
fn written(command: &str, folder: &Path) -> BTreeSet<PathBuf> {
    words(command).filter(|word| word.usage == Usage::Written).map(|word| folder.join(word.text)).collect()
}

fn words(command: &str) -> impl Iterator<Item = CommandWord<'_>> {
    let is_between = |c: char| c.is_whitespace() || BETWEEN_WORDS.contains(c);
    let parts = command.split(is_between).filter(|part| !part.is_empty());
    let parts = parts
        .map(|text| CommandWord { text, usage: usage(&command[..text.as_ptr().addr() - command.as_ptr().addr()]) });
    // Also words with such a character in them: a file may be called `a=b.sh`.
    let whole = command.split_whitespace().map(|word| word.trim_matches(['\'', '"', '`', ';', '&', '|', '(', ')']));
    let whole = whole.filter(move |word| word.contains(is_between) && !word.contains(['<', '>']));
    parts.chain(whole.map(|text| CommandWord { text, usage: Usage::MayRun }))
}

/// Returns the usage of the word behind a beginning of a command.
fn usage(before: &str) -> Usage {
    let before = before.strip_suffix(['\'', '"']).unwrap_or(before).trim_end();
    let output = before.strip_suffix(">|").or_else(|| before.strip_suffix('>'));
    // A file behind `<>` is read as well, and a quoted `>` is a text.
    if output.is_some_and(|before| !before.ends_with(['<', '\\', '\'', '"'])) {
        return Usage::Written;
    }
    let mut words = before.split_whitespace().rev();
    let is_test = words.next().is_some_and(|option| option.len() == 2 && option.starts_with('-'))
        && words.next().is_some_and(|command| ["test", "["].contains(&command));
    if is_test { Usage::Tested } else { Usage::MayRun }
}

/// Returns the first file that is not there any more as it was.
pub(crate) fn first_changed<'f>(files: &'f BTreeMap<String, String>, folder: &Path) -> Option<&'f str> {
    let is_as_it_was = |name: &str, known: &str| {
        open_below(folder, name).and_then(|mut file| digest(&mut file).ok()).is_some_and(|digest| digest == known)
    };
    files.iter().find(|(name, known)| !is_as_it_was(name, known)).map(|(name, _)| name.as_str())
}

/// Returns the path of a regular file below the folder, wherever links lead; `None` for anything else.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(name).canonicalize().ok()?;
    (path.starts_with(&folder) && path.is_file()).then_some(path)
}

/// Opens the file that [`below`] finds, and no other that somebody puts in its place meanwhile.
fn open_below(folder: &Path, name: &str) -> Option<File> {
    let file = open_itself(&below(folder, name)?).ok()?;
    let opened = file.metadata().ok()?;
    let is_there = FileId::at(&below(folder, name)?).is_ok_and(|there| there == FileId::from_metadata(&opened));
    (opened.is_file() && is_there).then_some(file)
}

/// Tells whether a file holds something that could be run: it is neither empty nor a journal.
fn is_content(file: &mut File) -> bool {
    let mut beginning = Vec::new();
    let read = file.take(DATABASE.len() as u64).read_to_end(&mut beginning);
    read.is_err() || !beginning.is_empty() && beginning != DATABASE
}

fn digest(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    sha256(file).map(|(hash, _)| hex(&hash))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn whatever_is_named_below_the_folder_is_covered_but_for_what_changes() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("plan");
        fs::create_dir_all(folder.join("hooks")).unwrap();
        for (name, content) in [
            ("plan/hooks/stop.sh", "#!/bin/sh\n"),
            ("plan/plain", "true\n"),
            ("plan/check.py", "print()\n"),
            ("plan/a=b.sh", "true\n"),
            ("plan/empty", ""),
            ("plan/cutover.db", "SQLite format 3\0"),
            ("outside.sh", "#!/bin/sh\n"),
        ] {
            fs::write(outside.path().join(name), content).unwrap();
        }
        std::os::unix::fs::symlink("../outside.sh", folder.join("link.sh")).unwrap();
        for (command, covered) in [
            ("hooks/stop.sh --now", "hooks/stop.sh"),
            ("./plain", "./plain"),
            ("echo plain", "plain"),
            ("sh -e ./plain", "./plain"),
            ("bash -x plain", "plain"),
            ("sh <plain; sh <>plain", "plain"),
            ("python3 -u check.py >>'plain' 2>&1", "check.py"),
            ("python3 -u check.py '>' plain", "check.py plain"),
            ("sh './a=b.sh' --log=plain", "./a=b.sh plain"),
            ("echo 1 >>plain; test $(wc -l <plain) != 2", ""),
            ("test -e plain || ! [ -e \"check.py\" ] || sh empty", ""),
            ("python3 check.py cutover.db", "check.py"),
            ("/usr/bin/env python3 'check.py'", "check.py"),
            ("cutover status --journal cutover.db >>plain", ""),
            ("cd hooks && true; test -x x || hooks/stop.sh <plain", "hooks/stop.sh plain"),
            ("sh -c 'hooks/stop.sh; . ./plain'", "./plain hooks/stop.sh"),
            ("../outside.sh; link.sh; ./link.sh", ""),
            ("/usr/bin/true", ""),
            ("hooks", ""),
            ("", ""),
        ] {
            let files = files(command, &folder);
            assert_eq!(files.into_keys().collect::<Vec<_>>().join(" "), covered, "{command}");
        }
        for (command, not_covered) in [
            ("sh -e ./plain && python3 check.py >/dev/null 2>/var/log/x", ""),
            ("cd hooks && ./stop.sh", "./stop.sh cd hooks"),
            ("run-parts hooks/; sh $HOME/x.sh; ./*.sh", "$HOME/x.sh ./*.sh HOME/x.sh hooks/"),
            ("echo true >>plain; sh ./plain", "./plain"),
            ("./link.sh; hooks/new.sh", "./link.sh hooks/new.sh"),
            ("logger -t cutover ended", ""),
        ] {
            let found = uncovered(command, &folder).into_iter().collect::<Vec<_>>().join(" ");
            assert_eq!(found, not_covered, "{command}");
        }
    }

    #[test]
    fn no_file_outside_is_read_for_one_below_however_fast_they_are_exchanged() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("plan");
        fs::create_dir(&folder).unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let in_place_of = |script: &Path| {
            let (link, plain) = (outside.path().join("link"), outside.path().join("plain"));
            std::os::unix::fs::symlink("../secret", &link).unwrap();
            fs::rename(&link, script).unwrap();
            fs::write(&plain, "#!/bin/sh\n").unwrap();
            fs::rename(&plain, script).unwrap();
        };
        let script = folder.join("stop.sh");
        in_place_of(&script);
        let known = files("./stop.sh", &folder);
        assert_eq!(known.len(), 1);
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    in_place_of(&script);
                }
            });
            let found: Vec<_> = (0..3_000).map(|_| files("./stop.sh", &folder)).collect();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(found.iter().all(|found| found.is_empty() || *found == known), "the file outside was read");
        });
    }

    #[test]
    fn a_file_that_is_changed_moved_or_replaced_by_a_link_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("stop.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let covered = files("./stop.sh", folder.path());
        assert_eq!(first_changed(&covered, folder.path()), None);
        fs::write(&script, "#!/bin/sh\nrm -r /\n").unwrap();
        assert_eq!(first_changed(&covered, folder.path()), Some("./stop.sh"));
        fs::remove_file(&script).unwrap();
        assert_eq!(first_changed(&covered, folder.path()), Some("./stop.sh"));
        std::os::unix::fs::symlink("/bin/sh", &script).unwrap();
        assert_eq!(first_changed(&covered, folder.path()), Some("./stop.sh"));
        fs::remove_file(&script).unwrap();
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert_eq!(first_changed(&covered, folder.path()), None);
    }
}
