//! Copy of a bundle into a private folder. Only the files that its manifest names are read, each once, and hashed on the way.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use zip::ZipArchive;

use crate::audit::bundle::{BadBundle, LONGEST_MANIFEST, MANIFEST, MOST_FILES, Manifest, SIGNATURE, is_name};
use crate::files;
use crate::journal::chain::hex;

mod archive;
pub(super) mod error;

use error::{UnpackError, bad_archive, bad_content};

/// Largest ratio of unpacked to packed bytes.
const MOST_INFLATED: u64 = 100;
/// Unpacked bytes that are allowed whatever the ratio.
const ALWAYS_FITS: u64 = 64 << 20;

/// A bundle whose files are those of its manifest, in a folder of our own.
pub(super) struct Unpacked {
    pub(super) folder: TempDir,
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    pub(super) signature: Option<String>,
}

/// Unpacks a bundle that is a folder, or a ZIP with one folder in it, into a private folder in `room`.
pub(super) fn unpacked(bundle: &Path, room: &Path) -> Result<Unpacked, UnpackError> {
    if fs::metadata(bundle)?.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(bundle)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
            if names.len() > MOST_FILES {
                return Err(BadBundle::TooMany.into());
            }
        }
        let (mut length, mut content) = (0, 0);
        return taken(&names, room, |name| {
            let file = open_plain(&bundle.join(name), name)?;
            length += file.metadata()?.len();
            content += content_of(&file)?;
            if is_too_long(length, content) { Err(BadBundle::Hollow.into()) } else { Ok(file) }
        });
    }
    let mut archive = archive_of(bundle)?;
    let names = names_in(&mut archive)?;
    let plain: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
    taken(&plain, room, |name| {
        let at = names.iter().find(|(known, _)| known == name).map(|(_, at)| *at);
        let at = at.ok_or_else(|| BadBundle::Lacks(name.to_owned()))?;
        let mut content = tempfile::tempfile_in(room)?;
        let mut entry = archive.by_index(at).map_err(bad_archive)?;
        let size = entry.size();
        // One byte more than its stated size is read, so that a longer file is noticed without reading all of it.
        if io::copy(&mut entry.by_ref().take(size.saturating_add(1)), &mut content).map_err(bad_content)? != size {
            return Err(BadBundle::Archive(format!("`{name}` is not as long as it says")).into());
        }
        content.rewind()?;
        Ok(content)
    })
}

/// Opens a plain file, and no link, device or pipe: a device may have no end, and a pipe may block.
fn open_plain(path: &Path, name: &str) -> Result<File, UnpackError> {
    let is_link = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    let file = files::open::open_itself(path).map_err(|error| match error.kind() {
        _ if is_link(&error) => BadBundle::NoFile(name.to_owned()).into(),
        io::ErrorKind::NotFound => BadBundle::Lacks(name.to_owned()).into(),
        _ => UnpackError::Io(error),
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(BadBundle::NoFile(name.to_owned()).into()) }
}

/// Returns the bytes of a file outside holes: a hole takes no space, but would be written out. Returns the whole length on a
/// file system without holes.
///
/// source: lseek(2), `SEEK_DATA` and `SEEK_HOLE`
fn content_of(file: &File) -> io::Result<u64> {
    use rustix::fs::{SeekFrom, seek};
    let length = file.metadata()?.len();
    let (mut content, mut at) = (0, 0);
    while at < length {
        let begins = match seek(file, SeekFrom::Data(at)) {
            Ok(begins) => begins,
            // There is no data behind this.
            Err(rustix::io::Errno::NXIO) => break,
            Err(_) => return Ok(length),
        };
        at = seek(file, SeekFrom::Hole(begins))?;
        content += at - begins;
    }
    seek(file, SeekFrom::Start(0))?;
    Ok(content)
}

/// Tells whether `length` bytes are more than `content` bytes may unpack into.
fn is_too_long(length: u64, content: u64) -> bool {
    length > content.saturating_mul(MOST_INFLATED).saturating_add(ALWAYS_FITS)
}

/// Opens an archive that begins and ends where the file does and contains no duplicate or contradictory entries: other
/// programs extract the same files from it.
fn archive_of(path: &Path) -> Result<ZipArchive<File>, UnpackError> {
    let bad = |what: &str| Err(BadBundle::Archive(what.to_owned()).into());
    let mut file = open_plain(path, &path.display().to_string())?;
    let length = file.metadata()?.len();
    // source: APPNOTE.TXT 4.3.16, the end of the central directory: without a comment it is the last 22 bytes.
    let mut end = [0; 22];
    if length < 22 {
        return bad("it is no ZIP");
    }
    file.seek(SeekFrom::End(-22))?;
    file.read_exact(&mut end)?;
    if !end.starts_with(b"PK\x05\x06") || end[20..] != [0, 0] {
        return bad("it is no ZIP, or has something behind its end");
    }
    let n_entries = usize::from(u16::from_le_bytes([end[10], end[11]]));
    if n_entries > MOST_FILES + 1 {
        return Err(BadBundle::TooMany.into());
    }
    file.rewind()?;
    // Each reader seeks to its place before it reads.
    let again = file.try_clone()?;
    let mut archive = ZipArchive::new(file).map_err(bad_archive)?;
    if archive.len() != n_entries || archive.offset() != 0 {
        return bad("it names a file twice, or has something before its beginning");
    }
    if archive.has_overlapping_entries().map_err(bad_archive)? {
        return bad("its files overlap");
    }
    let mut inflated = 0_u64;
    for at in 0..archive.len() {
        inflated = inflated.saturating_add(archive.by_index_raw(at).map_err(bad_archive)?.size());
    }
    if is_too_long(inflated, length) {
        return bad("it unpacks into far more than it is");
    }
    archive::must_say_one_thing(&mut archive, again)?;
    Ok(archive)
}

/// Returns the files of the one folder in the archive, with their indexes.
fn names_in(archive: &mut ZipArchive<File>) -> Result<Vec<(String, usize)>, UnpackError> {
    let mut names: Vec<(String, usize)> = Vec::new();
    let mut folder: Option<String> = None;
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(bad_archive)?;
        let path = entry.name().map_err(bad_archive)?.into_owned();
        let (before, name) = path.split_once('/').unwrap_or(("", &path));
        let no_file = || BadBundle::NoFile(path.clone());
        if path.contains('/') && !is_name(before) {
            return Err(no_file().into());
        }
        if *folder.get_or_insert_with(|| before.to_owned()) != before {
            return Err(BadBundle::Archive("it has more than one folder".to_owned()).into());
        }
        if name.is_empty() && entry.size() == 0 {
            continue;
        }
        let is_known = is_name(name) || name == MANIFEST || name == SIGNATURE;
        if entry.is_symlink() || entry.encrypted() || !is_known || names.iter().any(|(known, _)| known == name) {
            return Err(no_file().into());
        }
        names.push((name.to_owned(), at));
    }
    Ok(names)
}

/// Copies a bundle: the manifest first, then each file that it names.
fn taken(
    names: &[String],
    room: &Path,
    mut open: impl FnMut(&str) -> Result<File, UnpackError>,
) -> Result<Unpacked, UnpackError> {
    let mut small = |name: &str| -> Result<String, UnpackError> {
        let mut text = String::new();
        open(name)?.take(LONGEST_MANIFEST).read_to_string(&mut text)?;
        Ok(text)
    };
    let manifest_text = small(MANIFEST)?;
    let signature = if names.iter().any(|name| name == SIGNATURE) { Some(small(SIGNATURE)?) } else { None };
    let manifest = Manifest::read(&manifest_text)?;
    manifest.check_names(names)?;
    let folder = files::folder::private_folder_in(room)?;
    for (name, sum) in &manifest.0 {
        let mut hash = Sha256::new();
        let (mut from, mut to) = (open(name)?, File::create_new(folder.path().join(name))?);
        let mut chunk = vec![0; 1 << 16];
        // A file that grows meanwhile is read up to its first length.
        let mut left = from.metadata()?.len();
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match from.read(&mut chunk[..most])? {
                0 => break,
                n => {
                    hash.update(&chunk[..n]);
                    to.write_all(&chunk[..n])?;
                    left -= n as u64;
                }
            }
        }
        if hex(&hash.finalize()) != *sum {
            return Err(BadBundle::OtherFile(name.clone()).into());
        }
    }
    Ok(Unpacked { folder, manifest, manifest_text, signature })
}
