//! Addresses of pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand in a part of a path as it is: the unreserved of RFC 3986, 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a run's page is.
pub(super) fn run_link(id: &str) -> String {
    format!("/runs/{}", utf8_percent_encode(id, SEGMENT))
}
