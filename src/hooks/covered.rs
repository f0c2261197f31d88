//! Files that a plan's hooks run, which are agreed to together with the plan: what is approved is not the name of a script.
//!
//! A command is a text for the shell. Of the files that it names, those are covered that lie below the plan's folder and are run:
//! its first word, a word behind the name of an interpreter, and whatever begins as a script or a program does. Files that it reads or
//! writes (a journal, a log) are not covered, since they change while the run goes on; neither is what a script calls in turn.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::journal::chain::hex;

/// Names behind which a script stands.
const INTERPRETERS: [&str; 12] =
    [".", "source", "exec", "env", "sh", "bash", "dash", "python", "python3", "perl", "ruby", "node"];

/// Beginnings of scripts and of programs. source: execve(2), elf(5)
const BEGINNINGS: [&[u8]; 2] = [b"#!", b"\x7fELF"];

/// Returns the files below a folder that a command runs, each with its SHA-256 in hexadecimal digits.
pub(crate) fn files(command: &str, folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut before: Option<&str> = None;
    for word in
        command.split(|c: char| c.is_whitespace() || "'\"`;|&<>()$=".contains(c)).filter(|word| !word.is_empty())
    {
        let is_run = before.is_none_or(|before| INTERPRETERS.contains(&last_part(before)));
        if let Some(path) = below(folder, word)
            && (is_run || begins_as_program(&path))
            && let Ok(digest) = digest(&path)
        {
            files.insert(word.to_owned(), digest);
        }
        before = Some(word);
    }
    files
}

/// Returns the first file that is not there any more as it was.
pub(crate) fn first_changed<'f>(files: &'f BTreeMap<String, String>, folder: &Path) -> Option<&'f str> {
    let is_as_it_was = |name: &str, known: &str| {
        below(folder, name).and_then(|path| digest(&path).ok()).is_some_and(|digest| digest == known)
    };
    files.iter().find(|(name, known)| !is_as_it_was(name, known)).map(|(name, _)| name.as_str())
}

fn last_part(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Returns the path of a regular file below the folder, wherever links lead; `None` for anything else.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(name).canonicalize().ok()?;
    (path.starts_with(&folder) && path.is_file()).then_some(path)
}

fn begins_as_program(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut beginning));
    read.is_ok() && BEGINNINGS.iter().any(|known| beginning.starts_with(known))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let (mut file, mut piece) = (File::open(path)?, vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            n_read => hash.update(&piece[..n_read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn programs_and_scripts_below_the_folder_are_covered_and_data_is_not() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("plan");
        fs::create_dir_all(folder.join("hooks")).unwrap();
        for (name, content) in [
            ("plan/hooks/stop.sh", "#!/bin/sh\n"),
            ("plan/plain", "true\n"),
            ("plan/check.py", "print()\n"),
            ("plan/cutover.db", "SQLite format 3\0"),
            ("outside.sh", "#!/bin/sh\n"),
        ] {
            fs::write(outside.path().join(name), content).unwrap();
        }
        std::os::unix::fs::symlink("../outside.sh", folder.join("link.sh")).unwrap();
        for (command, covered) in [
            ("hooks/stop.sh --now", "hooks/stop.sh"),
            ("./plain", "./plain"),
            ("echo plain", ""),
            ("python3 check.py cutover.db", "check.py"),
            ("/usr/bin/env python3 'check.py'", "check.py"),
            ("cutover status --journal cutover.db >>plain", ""),
            ("cd hooks && true; test -x x || hooks/stop.sh <plain", "hooks/stop.sh"),
            ("sh -c 'hooks/stop.sh; . ./plain'", "./plain hooks/stop.sh"),
            ("../outside.sh; link.sh; ./link.sh", ""),
            ("/usr/bin/true", ""),
            ("hooks", ""),
            ("", ""),
        ] {
            let files = files(command, &folder);
            assert_eq!(files.into_keys().collect::<Vec<_>>().join(" "), covered, "{command}");
        }
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
