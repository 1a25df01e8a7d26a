//! Log lines to standard error, a file, or both. `RUST_LOG` overrides the flags' filter.

use std::env::VarError;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FromEnvError, ParseError};
use tracing_subscriber::fmt::MakeWriter;

/// Which log lines are written, and where.
#[derive(Debug, Default)]
pub struct LogOptions {
    /// Filter directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// A file instead of standard error.
    pub file: Option<PathBuf>,
    /// Standard error in addition to the file.
    pub also_stderr: bool,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The flags' filter is malformed.
    #[error("malformed log filter")]
    Filter(#[from] ParseError),
    /// The environment's filter is malformed.
    #[error("malformed log filter in {}", EnvFilter::DEFAULT_ENV)]
    Variable(#[source] FromEnvError),
    /// The file cannot be opened.
    #[error("cannot open the log file {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The process has a subscriber already.
    #[error("cannot install the log subscriber")]
    Install(#[source] Box<dyn Error + Send + Sync>),
}

/// Installs the process-wide subscriber.
///
/// # Errors
/// When the file cannot be opened, the filter is malformed, or a subscriber is already there.
pub fn init_logging(options: &LogOptions) -> Result<(), LogError> {
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(error) if is_unset(&error) => EnvFilter::try_new(&options.filter)?,
        Err(error) => return Err(LogError::Variable(error)),
    };
    let file = options.file.as_deref().map(open).transpose()?;
    let file = file.map(|file| Arc::new(Mutex::new(file)));
    let stderr = file.is_none() || options.also_stderr;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(file.is_none() && io::stderr().is_terminal())
        .with_writer(Sinks { file, stderr })
        .try_init()
        .map_err(LogError::Install)
}

fn is_unset(error: &FromEnvError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(VarError::NotPresent))
}

fn open(path: &Path) -> Result<File, LogError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|source| LogError::File {
        path: path.to_owned(),
        source,
    })
}

#[derive(Clone, Debug)]
struct Sinks {
    file: Option<Arc<Mutex<File>>>,
    stderr: bool,
}

impl Write for Sinks {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(file) = &self.file {
            file.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line)?;
        }
        if self.stderr {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sinks {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
