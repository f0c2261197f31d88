//! Index of the log, which says how much of the log and of the file is valid.
//!
//! source: sqlite.org/walformat.html (section 2.1), which fixes these offsets; sqlite.org/fileformat2.html (section 4.1) for the
//! head of the log.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Size of the part that is read: the header twice, and the state of checkpoints behind it.
pub(super) const SIZE: usize = 136;
const VERSION: u32 = 3_007_000;
const HEAD_OF_LOG: u64 = 32;
const HEAD_OF_FRAME: u64 = 24;

type Salts = [u8; 8];

/// Progress of writing a log back into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backfill {
    salts: Salts,
    /// Frames, noted before their pages are written and after they are on disk.
    begun: u32,
    ended: u32,
}

impl Backfill {
    pub(super) fn is_under_way(self) -> bool {
        self.begun != self.ended
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Frames that were committed.
    pub(super) n_frames: u32,
    /// Size of the database with all of them written back; 0 as long as nobody has written to this log.
    n_pages: u32,
    page_size: u64,
    pub(super) backfill: Backfill,
}

impl Index {
    /// Reads it; `None` while somebody writes it, or if it is of another version.
    pub(super) fn read(bytes: &[u8; SIZE]) -> Option<Self> {
        let (first, rest) = bytes.split_at(48);
        let is_initialised = first[12] != 0;
        if !is_initialised || !rest.starts_with(first) || number(first, 0) != VERSION {
            return None;
        }
        let page_size = match u16::from_ne_bytes([first[14], first[15]]) {
            1 => 1 << 16,
            size => u64::from(size),
        };
        let salts = first[32..40].try_into().expect("eight bytes");
        let backfill = Backfill { salts, begun: number(bytes, 128), ended: number(bytes, 96) };
        Some(Self { n_frames: number(first, 16), n_pages: number(first, 20), page_size, backfill })
    }

    /// Least size of the log.
    pub(super) fn log_size(&self) -> u64 {
        match self.n_frames {
            0 => 0,
            n_frames => HEAD_OF_LOG + u64::from(n_frames) * (HEAD_OF_FRAME + self.page_size),
        }
    }

    /// Tells whether a file of this size may be all of the database: it gets shorter when it was packed, and that was written
    /// back.
    ///
    /// source: `sqlite.org/lang_vacuum.html`
    pub(super) fn fits_in(&self, size: u64) -> bool {
        self.n_pages > 0 && size >= u64::from(self.n_pages) * self.page_size
    }

    /// Tells whether the log was not restarted between the two.
    pub(super) fn is_of_the_same_log(&self, other: &Index) -> bool {
        self.backfill.salts == other.backfill.salts && self.n_frames >= other.n_frames
    }
}

/// First bytes of the log.
pub(super) struct LogHead {
    salts: Salts,
}

impl LogHead {
    /// Bytes before the first frame.
    pub(super) const SIZE: u64 = HEAD_OF_LOG;

    /// Tells whether a log may begin so. Before the first commit is on disk it may have less of it, or nothing but zeros.
    pub(super) fn may_begin_with(bytes: &[u8]) -> bool {
        const MAGIC: [u8; 3] = [0x37, 0x7f, 0x06];
        let Ok(head) = <&[u8; 32]>::try_from(bytes) else {
            return bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic) || is_blank(bytes);
        };
        let number = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let words = match number(0) {
            [0x37, 0x7f, 0x06, 0x82] => u32::from_le_bytes,
            [0x37, 0x7f, 0x06, 0x83] => u32::from_be_bytes,
            _ => return is_blank(bytes),
        };
        let sums = (0..24).step_by(8).fold((0_u32, 0_u32), |(first, second), at| {
            let first = first.wrapping_add(words(number(at))).wrapping_add(second);
            (first, second.wrapping_add(words(number(at + 4))).wrapping_add(first))
        });
        let is_known = u32::from_be_bytes(number(4)) == VERSION;
        is_known && sums == (u32::from_be_bytes(number(24)), u32::from_be_bytes(number(28)))
    }

    pub(super) fn read(log: &File) -> Option<Self> {
        let mut salts = [0; 8];
        log.read_exact_at(&mut salts, 16).ok()?;
        Some(Self { salts })
    }

    /// Tells whether it is the head of the log that the index belongs to.
    pub(super) fn begins(&self, index: &Index) -> bool {
        self.salts == index.backfill.salts
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Returns a number in the byte order of the machine.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
