//! Where a plan's bytes come from: a file, or a stream that is spooled so that it can be read more than once.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::plan::PlanError;
use crate::plan::kind;

/// A plan's bytes, which can be read more than once: a file, or an unnamed temporary file that holds what came
/// from standard input or a pipe.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    extension: Option<String>,
}

impl Source {
    /// Opens the plan at `path`; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self, PlanError> {
        let name = if path == "-" { "<stdin>".to_owned() } else { path.display().to_string() };
        let opened = if path == "-" { spool(io::stdin().lock()) } else { open(path) };
        match opened {
            Ok(file) => Ok(Self { file, name, extension: extension(path) }),
            Err(source) => Err(PlanError::Unreadable { name, source }),
        }
    }

    /// The plan's name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another file, named as from the folder in which this one lies.
    pub(crate) fn beside(&self, path: &str) -> io::Result<Self> {
        let path = Path::new(&self.name).parent().unwrap_or(Path::new("")).join(path);
        Ok(Self { file: open(&path)?, name: path.display().to_string(), extension: extension(&path) })
    }

    /// The first bytes.
    pub(crate) fn beginning(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.bytes()?.take(kind::BEGINNING).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// All of it, for what is no list of rows.
    pub(crate) fn whole(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.bytes()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The bytes from the first one on. One reading at a time: they share the place in the file.
    pub(crate) fn bytes(&self) -> io::Result<&File> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(file)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    // Some of them never end. `/dev/stdin` may be a terminal, and `/dev/null` is an empty plan.
    if kind.is_block_device() || kind.is_char_device() && !file.is_terminal() && path != "/dev/null" {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a device; give a file, or - for standard input",
        ));
    }
    // A pipe, as in `cutover check <(query)`, can be read only once.
    if file.metadata()?.is_file() { Ok(file) } else { spool(file) }
}

fn spool(mut stream: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut stream, &mut file)?;
    Ok(file)
}

fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(OsStr::to_str).map(str::to_lowercase)
}

#[cfg(test)]
impl Source {
    /// A file of this name with this content.
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
    fn a_plan_that_cannot_be_opened_is_named() {
        let error = Source::open(Path::new("no/such/plan.csv")).unwrap_err();
        assert_eq!(error.to_string(), "could not read the plan `no/such/plan.csv`");
        assert!(matches!(Source::open(Path::new("/")), Err(PlanError::Unreadable { .. })));
    }
}
