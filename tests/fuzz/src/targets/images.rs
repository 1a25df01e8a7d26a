//! What registries and archives give: layers, archives of images, and names of images.

use std::fs::File;

use k3s_runtime::{Reference, count_images, unpack_layer};
use sha2::{Digest, Sha256};

use crate::lab::on_small_disk;

/// Longest name that is printed: host, path, tag and digest have bounds of their own.
const MAX_NAME_FACTOR: usize = 2;

/// First bytes of gzip, zstd, bzip2 and lz4, and what follows the first of a frame that zstd skips.
const COMPRESSED: [&[u8]; 5] = [
    &[0x1f, 0x8b],
    &[0x28, 0xb5, 0x2f, 0xfd],
    b"BZh",
    &[0x04, 0x22, 0x4d, 0x18],
    &[0x2a, 0x4d, 0x18],
];

fn is_compressed(data: &[u8]) -> bool {
    let behind_first = data.get(1..).unwrap_or_default();
    COMPRESSED
        .iter()
        .any(|magic| data.starts_with(magic) || behind_first.starts_with(magic))
}

/// A layer. Nothing outside of its root changes, and what it makes can be removed.
pub fn layer(data: &[u8]) {
    on_small_disk(data, |file, root| {
        let Ok(digest) = unpack_layer(File::open(file).unwrap(), root) else {
            return;
        };
        if !is_compressed(data) {
            let content = hex::encode(Sha256::digest(data));
            assert_eq!(digest, format!("sha256:{content}"));
        }
    });
}

/// An archive with images, as `docker save` makes it or as an OCI layout. Its files are removed after it is read.
pub fn image_archive(data: &[u8]) {
    on_small_disk(data, |file, scratch| {
        if let Ok(count) = count_images(file, scratch) {
            // Each is named in a document of the archive.
            assert!(is_compressed(data) || count <= data.len());
        }
        assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
    });
}

/// The name of an image as a user writes it.
pub fn image_reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(reference) = Reference::parse(text) else {
        return;
    };
    let printed = reference.to_string();
    assert_eq!(Reference::parse(&printed), Ok(reference), "{printed}");
    let completed = "docker.io/library/:latest".len();
    assert!(printed.len() <= MAX_NAME_FACTOR * text.len() + completed);
    assert!(
        printed
            .bytes()
            .all(|byte| byte.is_ascii_graphic()
                && !matches!(byte, b'"' | b'\\' | b'%' | b'?' | b'#')),
        "{printed} stands in URLs"
    );
    let is_step = |part: &str| matches!(part, "" | "." | "..");
    assert!(!printed.split('/').any(is_step), "{printed}");
}
