//! Running programs: to the end with a deadline, or in the background until dropped.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Output {
    /// The output of a program that must have ended with 0.
    ///
    /// # Errors
    /// When it did not, with everything it printed.
    pub fn ok(self) -> Result<String> {
        if self.code == Some(0) {
            Ok(self.stdout)
        } else {
            bail!("exit {:?}: {}{}", self.code, self.stdout, self.stderr)
        }
    }

    /// The error text of a program that must have failed.
    ///
    /// # Errors
    /// When it ended with 0.
    pub fn failed(self) -> Result<String> {
        if self.code == Some(0) {
            bail!("it succeeded: {}", self.stdout)
        } else {
            Ok(self.stderr)
        }
    }
}

/// Runs `command` to its end, with `input` on standard input; kills it at the deadline.
pub(crate) fn run(
    command: &mut Command,
    input: Option<&str>,
    deadline: Duration,
) -> Result<Output> {
    let described = format!("{command:?}");
    command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| described.clone())?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        use std::io::Write;
        // A program that ends before it has read everything says why by itself.
        let _ = stdin.write_all(text.as_bytes());
    }
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let status = wait(&mut child, deadline)?;
    let text = |handle: std::thread::JoinHandle<String>| handle.join().unwrap_or_default();
    let output = Output {
        stdout: text(stdout),
        stderr: text(stderr),
        code: status.and_then(|s| s.code()),
    };
    if status.is_none() {
        bail!(
            "{described}: no end after {deadline:?}; it printed: {}{}",
            output.stdout,
            output.stderr
        );
    }
    Ok(output)
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, deadline: Duration) -> Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program that runs until it is stopped or dropped. Its output goes to a file.
#[derive(Debug)]
pub struct Background {
    child: Child,
}

impl Background {
    pub(crate) fn start(command: &mut Command, output: std::fs::File) -> Result<Self> {
        let described = format!("{command:?}");
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(Self {
            child: command.spawn().with_context(|| described)?,
        })
    }

    /// Its process id, as the host sees it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<Option<i32>> {
        wait(&mut self.child, deadline)?
            .map(|s| s.code())
            .context("still running")
    }

    /// Sends SIGKILL and waits.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill();
    }
}
