//! A steady load of HTTP requests, run inside a test cluster's corner until a file appears:
//! `steady-load ADDRESS HOST PATH RATE FILE`.
//!
//! Requests are due at fixed times, whatever becomes of those before them. Half of the workers keep their
//! connections, half make a new one for each request; a kept connection that the server closes without
//! having announced it is a failure like any other. Prints `SENT FAILED`, and what went wrong on standard error;
//! meanwhile `FILE.sent` says how many were sent so far.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Enough that a slow answer delays no other request by much.
const WORKERS: u32 = 50;
/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// A load whose test has died ends by itself.
const LONGEST: Duration = Duration::from_secs(900);
/// Failures that are described by each worker.
const DESCRIBED: u32 = 3;

#[derive(Clone)]
struct Load {
    address: String,
    request: String,
    /// Between requests of one worker.
    interval: Duration,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
}

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what it is for"
)]
fn main() -> ExitCode {
    match run() {
        Ok((sent, failed)) => {
            println!("{sent} {failed}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(u32, u32)> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, host, path, rate, file] = words.as_slice() else {
        bail!("usage: steady-load ADDRESS HOST PATH RATE FILE")
    };
    let rate: u32 = rate.parse()?;
    let load = Load {
        address: address.clone(),
        request: format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"),
        interval: Duration::from_secs(1) * WORKERS / rate,
        stop: Arc::default(),
        sent: Arc::default(),
    };
    let start = Instant::now() + Duration::from_millis(50);
    let workers: Vec<_> = (0..WORKERS)
        .map(|at| {
            let load = load.clone();
            // Workers begin one after the other, so that requests are spread evenly.
            std::thread::spawn(move || load.work(start + load.interval / WORKERS * at, at % 2 == 0))
        })
        .collect();
    while !Path::new(file).exists() && start.elapsed() < LONGEST {
        std::fs::write(
            format!("{file}.sent"),
            load.sent.load(Ordering::Relaxed).to_string(),
        )?;
        std::thread::sleep(Duration::from_millis(20));
    }
    load.stop.store(true, Ordering::Relaxed);
    let mut failed = 0;
    for worker in workers {
        failed += worker
            .join()
            .map_err(|_| anyhow::anyhow!("a worker panicked"))?;
    }
    Ok((load.sent.load(Ordering::Relaxed), failed))
}

impl Load {
    /// How many requests failed.
    #[allow(
        clippy::print_stderr,
        reason = "a failed request must be described somewhere"
    )]
    fn work(&self, start: Instant, keep: bool) -> u32 {
        let mut connection = None;
        let (mut turn, mut failed) = (0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            let due = start + self.interval * turn;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.ask(&mut connection, keep) {
                connection = None;
                failed += 1;
                if failed <= DESCRIBED {
                    eprintln!(
                        "request {turn} ({}): {error:#}",
                        if keep {
                            "kept connection"
                        } else {
                            "new connection"
                        }
                    );
                }
            }
            turn += 1;
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        failed
    }

    /// One request, over the connection there is or a new one.
    fn ask(&self, connection: &mut Option<BufReader<TcpStream>>, keep: bool) -> Result<()> {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => BufReader::new(connect(&self.address)?),
        };
        let close = if keep { "" } else { "Connection: close\r\n" };
        stream
            .get_mut()
            .write_all(format!("{}{close}\r\n", self.request).as_bytes())
            .context("send")?;
        let goes_on = answer(&mut stream)?;
        *connection = (keep && goes_on).then_some(stream);
        Ok(())
    }
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads an answer to its end. True when the connection can be used again.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<bool> {
    let status = line(stream).context("status line")?;
    ensure!(
        status.split(' ').nth(1) == Some("200"),
        "answered {status:?}"
    );
    let (mut length, mut chunked, mut goes_on) = (None, false, true);
    loop {
        let header = line(stream).context("header")?.to_ascii_lowercase();
        match header
            .split_once(':')
            .map(|(name, value)| (name, value.trim()))
        {
            None => break,
            Some(("content-length", value)) => length = Some(value.parse::<u64>()?),
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(("connection", value)) => goes_on = value != "close",
            Some(_) => {}
        }
    }
    match length {
        _ if chunked => chunks(stream)?,
        Some(length) => body(stream, length)?,
        None => bail!("an answer of unknown length"),
    }
    Ok(goes_on)
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut text = String::new();
    ensure!(stream.read_line(&mut text)? > 0, "the connection ended");
    Ok(text.trim_end().to_owned())
}

fn body(stream: &mut BufReader<TcpStream>, length: u64) -> Result<()> {
    let read = std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
    ensure!(read == length, "the body ended early");
    Ok(())
}

fn chunks(stream: &mut BufReader<TcpStream>) -> Result<()> {
    loop {
        let size = line(stream)?;
        let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16)?;
        body(stream, size + 2)?;
        if size == 0 {
            return Ok(());
        }
    }
}
