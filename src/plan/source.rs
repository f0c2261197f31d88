//! Source of a plan's bytes: a file, or a stream that is spooled so that it can be read more than once.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::error::PlanError;
use crate::files::temporary;
use crate::plan::kind;

pub(crate) mod below;

use below::NotBelow;

/// Name of standard input as a plan, in messages.
pub(crate) const STDIN: &str = "<stdin>";
/// Limit of a spooled stream in bytes: several million rows.
const MOST_OF_A_STREAM: u64 = 1 << 30;
/// Limit of a plan file in bytes: its terms, and rows that stand among them.
const MOST_OF_TERMS: u64 = 64 << 20;

/// Bytes of a plan, which can be read more than once: a file, or an unnamed temporary file with the content of standard
/// input or a pipe.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    extension: Option<String>,
}

impl Source {
    /// Opens the plan at `path`; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self, PlanError> {
        let name = if path == "-" { STDIN.to_owned() } else { path.display().to_string() };
        let opened = if path == "-" { spool(io::stdin().lock()) } else { open(path) };
        match opened {
            Ok(file) => Ok(Self { file, name, extension: extension(path) }),
            Err(source) => Err(PlanError::Unreadable { name, source }),
        }
    }

    /// Name of the plan in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folder of the plan; empty for the current one.
    pub(crate) fn folder(&self) -> &Path {
        Path::new(&self.name).parent().unwrap_or(Path::new(""))
    }

    /// Opens a file that this one names: a regular one below this one's folder, unless those outside are allowed.
    pub(crate) fn beside(&self, named: &str, allow_outside: bool) -> Result<Self, NotBelow> {
        let folder = self.folder();
        let path = folder.join(named);
        let file = if allow_outside { open(&path)? } else { below::open(folder, Path::new(named))? };
        Ok(Self { file, name: path.display().to_string(), extension: extension(&path) })
    }

    /// Reads the first bytes.
    pub(crate) fn beginning(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.bytes()?.take(kind::BEGINNING).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads all bytes.
    pub(crate) fn whole(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.bytes()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads all bytes of a plan file or another file that is read into memory; fails past 64 MiB.
    pub(crate) fn terms(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.bytes()?.take(MOST_OF_TERMS + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_OF_TERMS {
            let text =
                "it has more than 64 MiB, and no more of a plan file is read; name the rows in files of their own";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(bytes)
    }

    pub(crate) fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// Returns the bytes from the first one on. Only one reading at a time: all share the file's offset.
    pub(crate) fn bytes(&self) -> io::Result<&File> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(file)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    // Some devices never end. `/dev/stdin` may be a terminal, and `/dev/null` is an empty plan.
    if kind.is_block_device() || kind.is_char_device() && !file.is_terminal() && path != "/dev/null" {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a device; give a file, or - for standard input",
        ));
    }
    // A pipe, as in `cutover check <(query)`, can be read only once.
    if file.metadata()?.is_file() { Ok(file) } else { spool(file) }
}

fn spool(stream: impl Read) -> io::Result<File> {
    spool_up_to(MOST_OF_A_STREAM, stream)
}

/// Spools a stream up to a limit: an endless one would fill the disk.
fn spool_up_to(most: u64, stream: impl Read) -> io::Result<File> {
    let mut file = temporary::nameless_file()?;
    if io::copy(&mut stream.take(most + 1), &mut file)? > most {
        let text = "more than 1 GiB came, and no more of a stream is taken; a plan that large has to be a file";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(file)
}

fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(OsStr::to_str).map(str::to_lowercase)
}

#[cfg(test)]
impl Source {
    /// Makes a file of this name with this content.
    pub(crate) fn holding(name: &str, content: &[u8]) -> Self {
        let file = spool(content).expect("a temporary file can be written");
        Self { file, name: name.to_owned(), extension: extension(Path::new(name)) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn content(source: &Source) -> String {
        let mut text = String::new();
        source.bytes().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_file_is_read_twice_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Plan.TSV");
        fs::write(&path, "abc").unwrap();
        let source = Source::open(&path).unwrap();
        assert_eq!((content(&source), content(&source)), ("abc".to_owned(), "abc".to_owned()));
        assert_eq!(source.extension(), Some("tsv"));
    }

    #[test]
    fn what_came_through_a_pipe_is_read_from_its_beginning() {
        let mut file = spool(&b"abc"[..]).unwrap();
        file.rewind().unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "abc");
    }

    #[test]
    fn a_stream_without_an_end_is_taken_up_to_a_bound() {
        assert_eq!(spool_up_to(10, &[b'x'; 10][..]).unwrap().metadata().unwrap().len(), 10);
        assert_eq!(spool_up_to(10, io::repeat(b'x')).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_plan_that_cannot_be_opened_is_named() {
        let error = Source::open(Path::new("no/such/plan.csv")).unwrap_err();
        assert_eq!(error.to_string(), "could not read the plan `no/such/plan.csv`");
        assert!(matches!(Source::open(Path::new("/")), Err(PlanError::Unreadable { .. })));
    }
}
