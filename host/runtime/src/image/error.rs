//! Why content cannot be kept, imported or unpacked.

use std::io;
use std::path::PathBuf;

use crate::shim::protocol::RemoteError;

/// A blob that cannot be kept under its digest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// The name would not be a file in the store's folder.
    #[error("{0:?} is not a sha256 digest")]
    Digest(String),
    /// What was downloaded is something else.
    #[error("content is {found}, not {wanted}")]
    Mismatch { found: String, wanted: String },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An image that cannot be imported or unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// Neither the form of `docker save` nor an OCI layout.
    #[error("{} has neither manifest.json nor index.json: not an image archive", .0.display())]
    NotAnArchive(PathBuf),
    /// A file that the archive refers to.
    #[error("{0} is missing")]
    Missing(String),
    /// A file of the archive does not have the digest that names it.
    #[error("{name} is damaged: its content is {found}")]
    Damaged { name: String, found: String },
    /// A document of the image.
    #[error("malformed {document}")]
    Malformed {
        document: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("indexes are nested too deeply")]
    NestedIndexes,
    #[error("the index has no image for this machine")]
    NoPlatform,
    #[error(
        "the image is for {os}/{architecture}, this machine is linux/{}",
        super::model::architecture()
    )]
    Platform { os: String, architecture: String },
    #[error("the image has more than {} layers", super::model::LAYERS_LIMIT)]
    TooManyLayers,
    #[error("the image configuration names other layers than its manifest")]
    Layers,
    /// A layer does not have the content that the image's configuration names.
    #[error("layer content is {found}, the image requires {wanted}")]
    LayerContent { found: String, wanted: String },
    /// The process that unpacked a layer refused it.
    #[error(transparent)]
    Layer(RemoteError),
    /// The process that unpacked a layer ended without an answer.
    #[error("unpack a layer: {0}")]
    Unpacker(String),
    /// Its caller does not wait for it any more.
    #[error("it is not wanted any more")]
    Cancelled,
    /// An entry of a layer's archive.
    #[error("unpack {}", .path.display())]
    Entry {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ImageError {
    /// For a document of the image that is not of the form it should be.
    pub(super) fn malformed(
        document: impl Into<String>,
    ) -> impl FnOnce(serde_json::Error) -> ImageError {
        let document = document.into();
        move |source| Self::Malformed { document, source }
    }
}
