//! Rows for browsers: a line for each, and under it the row's story.

use askama::Template;

use crate::model::state::SeenState;
use crate::report::causes::code_and_text;
use crate::report::explain::Explained;
use crate::wording::plain::plain;
use crate::wording::times::time;

pub(crate) const CHUNK_END: &[u8] = b"</tbody></table></div></noscript>\n";

/// Beginning of a table of rows for pages without scripts.
#[derive(Template)]
#[template(
    source = "<noscript class=\"chunk\"><div class=\"chunk\"><table class=\"rows\">\
              {% include \"report/html/columns.html\" %}<tbody>\n",
    ext = "html",
    config = ".askama.toml"
)]
pub(crate) struct ChunkHead;

/// Place of a row's story.
pub(crate) enum StoryPlace {
    /// Under the row's line.
    Here,
    /// On a page of its own, at this link.
    At(String),
    Nowhere,
}

/// One row, on one line of text.
#[derive(Template)]
#[template(path = "report/html/line.html", config = ".askama.toml")]
pub(crate) struct HtmlRow<'a> {
    id: u32,
    told: RowStory<'a>,
    story: StoryPlace,
}

/// Story of one row.
#[derive(Template)]
#[template(path = "report/html/story.html", config = ".askama.toml")]
pub(crate) struct RowStory<'a> {
    row: &'a Explained,
}

impl<'a> RowStory<'a> {
    pub(crate) fn new(row: &'a Explained) -> Self {
        Self { row }
    }
}

impl<'a> HtmlRow<'a> {
    pub(crate) fn new(row: &'a Explained, story: StoryPlace) -> Self {
        Self { id: row.row.id.0, told: RowStory::new(row), story }
    }

    fn row(&self) -> &Explained {
        self.told.row
    }

    fn tells_here(&self) -> bool {
        matches!(self.story, StoryPlace::Here)
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

    /// Says why the row stands as it does, where there is a reason, and the id of the request for asking the service about it.
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
