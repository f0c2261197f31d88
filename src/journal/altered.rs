//! Values that tell how the objects of a journal differ from those that its version makes.

use std::fmt;
use std::path::{Path, PathBuf};

use super::migrations::newest;

/// Name of a table, an index, a view or a trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// In SQLite's words: `table`, `index`, `view`, `trigger`.
    pub kind: String,
    pub name: String,
}

impl Object {
    pub(super) fn is_table(&self) -> bool {
        self.kind == "table"
    }

    /// Statistics are the only tables of SQLite's own that it lets go of.
    ///
    /// source: sqlite.org/fileformat2.html (2.6)
    pub(super) fn can_go(&self) -> bool {
        !self.is_table() || !self.name.starts_with("sqlite_") || self.name.starts_with("sqlite_stat")
    }

    /// Statement that drops it if it is still there; `None` for an index that goes with its table.
    fn dropped(&self) -> Option<String> {
        let is_of_a_table = self.kind == "index" && self.name.starts_with("sqlite_");
        let name = self.name.replace('"', "\"\"");
        (!is_of_a_table).then(|| format!("DROP {} IF EXISTS \"{name}\"", self.kind.to_uppercase()))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

/// Object that is not as the journal's version makes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("no such {}: {}", .0.kind, .0.name)]
    Missing(Object),
    #[error("the {0} is not as it was made")]
    Changed(Object),
    #[error("the {0} is none of cutover's")]
    Added(Object),
}

impl Difference {
    /// Tells whether a table of ours is missing or changed, so that reads would come from something else than was written.
    pub(super) fn is_of_our_tables(&self) -> bool {
        match self {
            Difference::Missing(object) | Difference::Changed(object) => object.is_table(),
            Difference::Added(_) => false,
        }
    }
}

/// Additions of somebody to a journal, beside all that is ours, which do nothing by themselves: statistics, an index, a table.
#[derive(Debug, thiserror::Error)]
#[error("the journal holds something else as well: the {first} is none of cutover's{}", and_more(rest))]
pub struct Additions {
    pub(crate) path: PathBuf,
    first: Object,
    rest: Vec<Object>,
}

/// Alterations that leave nothing of the record to be believed: reads and writes may have gone to something else.
#[derive(Debug, thiserror::Error)]
#[error("the schema of the journal was altered: {}{first}{}", of_version(*version), and_more(rest))]
pub struct SchemaAltered {
    pub(super) path: PathBuf,
    pub(super) version: i64,
    pub(super) first: Difference,
    pub(super) rest: Vec<Difference>,
}

impl SchemaAltered {
    /// File, and the statements that take out what was added, if that is all that was done.
    pub(crate) fn taken_out(&self) -> Option<(&Path, String)> {
        let dropped = |difference: &Difference| match difference {
            Difference::Added(object) if object.can_go() => Some(object.dropped()),
            Difference::Added(_) | Difference::Missing(_) | Difference::Changed(_) => None,
        };
        let drops = std::iter::once(&self.first).chain(&self.rest).map(dropped).collect::<Option<Vec<_>>>()?;
        Some((&self.path, drops.into_iter().flatten().collect::<Vec<_>>().join("; ")))
    }
}

/// Names an older version in a message: somebody may have written that number.
fn of_version(version: i64) -> String {
    if version == newest() { String::new() } else { format!("it says that it is of version {version}, and ") }
}

fn and_more<T>(rest: &[T]) -> String {
    if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) }
}

impl Additions {
    /// Makes them from all differences; `None` if there are none, if an object of ours is missing or changed, or if an added one
    /// may have acted on what is recorded.
    pub(super) fn from_differences(path: Option<&str>, differences: &[Difference]) -> Option<Self> {
        let added = differences.iter().map(|difference| match difference {
            // Triggers do something whenever we write, and what SQLite made for itself it keeps.
            Difference::Added(object) if object.kind != "trigger" && object.can_go() => Some(object.clone()),
            Difference::Added(_) | Difference::Missing(_) | Difference::Changed(_) => None,
        });
        let mut added = added.collect::<Option<Vec<Object>>>()?.into_iter();
        Some(Self { path: path?.into(), first: added.next()?, rest: added.collect() })
    }

    /// Statements of SQLite that take them out.
    pub(crate) fn taken_out(&self) -> String {
        let drops = std::iter::once(&self.first).chain(&self.rest).filter_map(Object::dropped);
        drops.collect::<Vec<_>>().join("; ")
    }
}
