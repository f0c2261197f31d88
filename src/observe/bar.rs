//! Progress bar at the foot of a terminal. The message beside it is one line, in which control characters are made visible.

#![expect(clippy::disallowed_types, reason = "this is what stands between the bar and the others")]

use indicatif::{ProgressBar, ProgressStyle};

use crate::wording::visible::visible;

/// Columns of the bar itself.
pub(super) const WIDTH: usize = 12;

pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(n_rows: u64, is_shown: bool) -> Self {
        let bar = if is_shown { ProgressBar::new(n_rows) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:12} {pos}/{len} {wide_msg}").expect("the template is sound");
        bar.set_style(style.progress_chars("=> "));
        Self(bar)
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    pub(super) fn draw(&self, settled: u64, message: &str) {
        self.0.set_position(settled);
        self.0.set_message(visible(message).into_owned());
    }

    /// Removes the bar while `say` writes.
    pub(super) fn suspend(&self, say: impl FnOnce()) {
        self.0.suspend(say);
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
