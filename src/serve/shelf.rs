//! Reports that are made and downloaded: their total size on disk is limited, and so is the time for which each is kept.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;
use tokio_util::io::ReaderStream;

use super::reader::Demand;

const LARGEST: u64 = 1 << 30;
/// Most bytes of all reports together.
const MOST: u64 = 2 << 30;
/// Longest time for a download; enough for a large report over a slow line.
const FETCHED_WITHIN: Duration = Duration::from_mins(10);

/// Number of bytes in use.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<AtomicU64>);

impl Shelf {
    pub(super) fn space(&self) -> Space {
        Space { n_bytes: 0, shelf: self.clone() }
    }
}

/// Bytes that one report uses, until it is dropped.
pub(super) struct Space {
    n_bytes: u64,
    shelf: Shelf,
}

impl Space {
    fn grow(&mut self, n_more: u64) -> io::Result<()> {
        if self.n_bytes + n_more > LARGEST {
            return Err(full(
                "the report is larger than the 1 GiB that are served; `cutover report -o FILE` writes it",
            ));
        }
        let taken = self.shelf.0.fetch_add(n_more, Ordering::Relaxed);
        self.n_bytes += n_more;
        if taken + n_more > MOST {
            return Err(full("too much of other reports is being fetched; try later, or `cutover report -o FILE`"));
        }
        Ok(())
    }
}

fn full(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, text)
}

impl Drop for Space {
    fn drop(&mut self) {
        self.shelf.0.fetch_sub(self.n_bytes, Ordering::Relaxed);
    }
}

/// A report being made, in a file without a name.
pub(super) struct Shelved {
    file: File,
    space: Space,
    wanted: Demand,
}

impl Shelved {
    pub(super) fn new(file: File, space: Space, wanted: Demand) -> Self {
        Self { file, space, wanted }
    }

    /// Returns the report's length, and its content as a stream.
    pub(super) fn fetched(mut self) -> io::Result<(u64, ReportStream)> {
        self.file.rewind()?;
        let content = ReaderStream::new(tokio::fs::File::from_std(self.file));
        let until = Box::pin(tokio::time::sleep(FETCHED_WITHIN));
        Ok((self.space.n_bytes, ReportStream { content, until, _space: self.space }))
    }
}

impl Write for Shelved {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.wanted.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.space.grow(bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A report as it is downloaded; cut off if that takes too long.
pub(super) struct ReportStream {
    content: ReaderStream<tokio::fs::File>,
    until: Pin<Box<Sleep>>,
    _space: Space,
}

impl Stream for ReportStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        Pin::new(&mut self.content).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_report_and_all_together_have_their_bounds() {
        let shelf = Shelf::default();
        let (mut one, mut other, mut third) = (shelf.space(), shelf.space(), shelf.space());
        one.grow(LARGEST).unwrap();
        assert!(one.grow(1).unwrap_err().to_string().contains("1 GiB"));
        other.grow(LARGEST).unwrap();
        assert_eq!(third.grow(1).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        drop((one, third));
        shelf.space().grow(LARGEST).unwrap();
        drop(other);
        assert_eq!(shelf.0.load(Ordering::Relaxed), 0);
    }
}
