//! Hashes of files.

use std::fs::File;
use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of a file from where it stands to its end, and the number of bytes that were read.
pub(crate) fn sha256(file: &mut File) -> io::Result<([u8; 32], u64)> {
    let (mut hash, mut n_bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((hash.finalize().into(), n_bytes)),
            n => {
                hash.update(&chunk[..n]);
                n_bytes += n as u64;
            }
        }
    }
}
