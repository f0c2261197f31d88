//! The rows as browsers show them: a line for each, and under it the row's story.

use askama::Template;

use crate::model::SeenState;
use crate::report::explain::Explained;
use crate::report::summary::code_and_text;
use crate::wording::plain::plain;
use crate::wording::times::time;

pub(crate) const CHUNK_END: &[u8] = b"</tbody></table></div></noscript>\n";

/// Opens a table of rows that is only there without scripts.
#[derive(Template)]
#[template(
    source = "<noscript class=\"chunk\"><div class=\"chunk\"><table class=\"rows\">\
              {% include \"report/html/columns.html\" %}<tbody>\n",
    ext = "html",
    config = ".askama.toml"
)]
pub(crate) struct ChunkHead;

/// Where a row's story is told.
pub(crate) enum StoryOf {
    /// Under its line.
    Here,
    /// On a page of its own.
    At(String),
    Nowhere,
}

/// One row, on one line of text.
#[derive(Template)]
#[template(path = "report/html/line.html", config = ".askama.toml")]
pub(crate) struct Line<'a> {
    id: u32,
    told: Told<'a>,
    story: StoryOf,
}

/// One row's story.
#[derive(Template)]
#[template(path = "report/html/story.html", config = ".askama.toml")]
pub(crate) struct Told<'a> {
    row: &'a Explained,
}

impl<'a> Told<'a> {
    pub(crate) fn of(row: &'a Explained) -> Self {
        Self { row }
    }
}

impl<'a> Line<'a> {
    pub(crate) fn of(row: &'a Explained, story: StoryOf) -> Self {
        Self { id: row.row.id.0, told: Told::of(row), story }
    }

    fn row(&self) -> &Explained {
        self.told.row
    }

    fn tells_here(&self) -> bool {
        matches!(self.story, StoryOf::Here)
    }

    fn is_off_target(&self) -> bool {
        !self.row().standing.is_on_target()
    }

    fn wanted(&self) -> String {
        plain(&self.row().row.wants.to_string())
    }

    fn before(&self) -> String {
        seen(self.row().standing.before.as_ref())
    }

    fn after(&self) -> String {
        seen(self.row().standing.after.as_ref())
    }

    fn settled(&self) -> String {
        self.row().standing.settled_at.map(time).unwrap_or_default()
    }

    /// Why it stands as it does, where there is something to say, and under which number the service knows of it.
    fn why(&self) -> String {
        let standing = &self.row().standing;
        let text = standing.reason.as_deref().or(standing.error_msg.as_deref());
        let code = standing.error_code.as_deref();
        let why = (text.is_some() || code.is_some()).then(|| code_and_text(code, text.unwrap_or_default()));
        let request = standing.request_id.as_deref().map(|id| format!("request id {}", plain(id)));
        why.into_iter().chain(request).collect::<Vec<_>>().join("; ")
    }
}

fn seen(state: Option<&SeenState>) -> String {
    state.map(|state| plain(&state.to_string())).unwrap_or_default()
}
