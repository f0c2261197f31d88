//! Addresses of pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that a part of a path has as they are: the unreserved ones of RFC 3986, 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the path of a run's page.
pub(super) fn run_link(id: &str) -> String {
    format!("/runs/{}", utf8_percent_encode(id, SEGMENT))
}
