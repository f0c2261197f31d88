//! Comparison of the two ways to read a ZIP: by the directory at its end, or from entry to entry. An archive in which they
//! find different files is refused.
//!
//! source: APPNOTE.TXT 4.3.7, local file header; 4.3.12, central directory; 4.3.14 and 4.3.15, its end in Zip64; 4.5.3, sizes in Zip64

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use flate2::bufread::DeflateDecoder;
use zip::ZipArchive;

use super::error::{UnpackError, bad_archive, bad_content};
use crate::audit::bundle::BadBundle;

const LOCAL: usize = 30;
const CENTRAL: usize = 46;
const END: u64 = 22;
/// Length of the end of the directory in Zip64, with its locator.
const END_64: u64 = 56 + 20;

/// Flags of an entry that are refused, that is all but those of compression level and UTF-8 names: encryption, sizes behind
/// the content, patches, masked headers.
const FLAGS: u16 = !(0b110 | 1 << 11);

/// Extra fields that affect neither name nor content: sizes, times, owners.
const SIZES: u16 = 0x0001;
const EXTRAS: [u16; 3] = [SIZES, 0x5455, 0x7875];

/// An entry, as the directory describes it.
struct ZipEntry {
    name: Vec<u8>,
    local_at: u64,
    central_at: u64,
    packed: u64,
    size: u64,
}

/// Checks that both ways of reading find the same files. `file` is the archive's own file.
pub(super) fn must_say_one_thing(archive: &mut ZipArchive<File>, mut file: File) -> Result<(), UnpackError> {
    let length = file.metadata()?.len();
    let mut central_at = archive.central_directory_start();
    let mut entries = Vec::new();
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(bad_archive)?;
        entries.push(ZipEntry {
            name: entry.name_raw().to_vec(),
            local_at: entry.header_start(),
            central_at: entry.central_header_start(),
            packed: entry.compressed_size(),
            size: entry.size(),
        });
    }
    entries.sort_by_key(|entry| entry.central_at);
    let begins = central_at;
    let mut local_at = 0;
    for entry in &entries {
        let is_next = (entry.local_at, entry.central_at) == (local_at, central_at);
        let (of_local, of_central) = if is_next { check(&mut file, entry)? } else { return bad(GAP) };
        (local_at, central_at) = (local_at + of_local, central_at + of_central);
    }
    let rest = length.checked_sub(central_at + END);
    let is_end = match rest {
        Some(END_64) => bytes::<4>(&mut file, central_at)? == *b"PK\x06\x06",
        rest => rest == Some(0),
    };
    if local_at == begins && is_end { Ok(()) } else { bad(GAP) }
}

const GAP: &str = "there is something between its files, or they are in another order than it says";

fn bad<T>(what: &str) -> Result<T, UnpackError> {
    Err(BadBundle::Archive(what.to_owned()).into())
}

/// Checks both headers of an entry. Returns the length of its local header with the content, and that of its directory
/// header.
fn check(file: &mut File, entry: &ZipEntry) -> Result<(u64, u64), UnpackError> {
    let local: [u8; LOCAL] = bytes(file, entry.local_at)?;
    let central: [u8; CENTRAL] = bytes(file, entry.central_at)?;
    let [flags, method, local_name, local_extra] = [6, 8, 26, 28].map(|at| number(&local, at));
    let [central_name, central_extra, comment] = [28, 30, 32].map(|at| number(&central, at));
    let is_one = local.starts_with(b"PK\x03\x04")
        && central.starts_with(b"PK\x01\x02")
        // Version, flags, method, time, checksum, sizes, length of the name.
        && local[4..28] == central[6..30]
        && flags & FLAGS == 0
        && comment == 0;
    let name: Vec<u8> = longer(file, entry.local_at + LOCAL as u64, local_name)?;
    let other: Vec<u8> = longer(file, entry.central_at + CENTRAL as u64, central_name)?;
    if !is_one || name != entry.name || other != entry.name {
        return bad("a file is not what the directory of the archive says");
    }
    let extra = longer(file, entry.local_at + LOCAL as u64 + u64::from(local_name), local_extra)?;
    let other = longer(file, entry.central_at + CENTRAL as u64 + u64::from(central_name), central_extra)?;
    let sizes = [entry.size.to_le_bytes(), entry.packed.to_le_bytes()].concat();
    // In the directory, the offset of a far file follows the sizes.
    let are_known = |extra: &[u8]| {
        extras(extra).is_some_and(|fields| {
            fields.iter().all(|(id, data)| EXTRAS.contains(id) && (*id != SIZES || data.starts_with(&sizes)))
        })
    };
    if !are_known(&extra) || !are_known(&other) {
        return bad("a file of it says more of itself than its name and its sizes");
    }
    let of_local = LOCAL as u64 + u64::from(local_name) + u64::from(local_extra);
    let ends = match method {
        0 => entry.size,
        8 => deflated(file, entry.local_at + of_local, entry.packed, entry.size)?,
        _ => return bad("a file of it is packed otherwise than cutover packs"),
    };
    if ends != entry.packed {
        return bad("there is something behind the end of a file");
    }
    let of_central = CENTRAL as u64 + u64::from(central_name) + u64::from(central_extra);
    Ok((of_local + entry.packed, of_central))
}

/// Returns the length of a deflated stream by its own end mark, at most `most`. No more of its content is read than `size`
/// and a byte.
fn deflated(file: &mut File, at: u64, most: u64, size: u64) -> Result<u64, UnpackError> {
    file.seek(SeekFrom::Start(at))?;
    let mut content = DeflateDecoder::new(BufReader::new(file.take(most)));
    io::copy(&mut content.by_ref().take(size.saturating_add(1)), &mut io::sink()).map_err(bad_content)?;
    Ok(content.total_in())
}

/// Returns extra fields with their ids; `None` if they do not fill the given bytes exactly.
fn extras(mut extra: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut fields = Vec::new();
    while !extra.is_empty() {
        let (head, rest) = extra.split_at_checked(4)?;
        let (data, rest) = rest.split_at_checked(number(head, 2).into())?;
        fields.push((number(head, 0), data));
        extra = rest;
    }
    Some(fields)
}

fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn bytes<const N: usize>(file: &mut File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn longer(file: &mut File, at: u64, length: u16) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
