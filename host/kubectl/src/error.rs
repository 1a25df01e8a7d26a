//! Failures in kubectl's wording.

use k3s_client::Error;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API refused; the text is as stock kubectl prints it.
    #[error("{}", from_server(.0))]
    Api(#[from] Error),
    /// Something on this side.
    #[error("error: {0}")]
    Local(String),
    /// A command in a container ended with this code.
    #[error("command terminated with exit code {0}")]
    Exit(u8),
    /// The answer was printed, and it is negative.
    #[error("")]
    Silent,
}

impl Failure {
    pub(crate) fn local(text: impl Into<String>) -> Self {
        Self::Local(text.into())
    }

    /// A failure of kube's own client, beside what the server answers.
    pub(crate) fn kube(error: kube::Error) -> Self {
        Self::Api(error.into())
    }

    pub(crate) fn encode(error: serde_json::Error) -> Self {
        Self::Api(Error::Encode(error))
    }

    /// A request that HTTP has no form for, for instance a path with blanks.
    pub(crate) fn request(error: http::Error) -> Self {
        Self::Api(Error::Build(error.into()))
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::Local(e.to_string())
    }
}

fn from_server(error: &Error) -> String {
    match error.status() {
        Some(status) => {
            let reason = status.reason.as_str();
            if reason.is_empty() {
                format!("Error from server: {}", status.message)
            } else {
                format!("Error from server ({reason}): {}", status.message)
            }
        }
        None => format!("error: {}", error.chain()),
    }
}
