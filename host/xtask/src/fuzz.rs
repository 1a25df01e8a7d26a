//! `cargo xtask fuzz`: the targets of `tests/fuzz` under libFuzzer.
//!
//! All that the targets link is instrumented with options of the stable compiler, in a build folder of its own, as
//! `cargo fuzz --sanitizer none` does it. An input that fails goes to the samples of its target, which the tests of
//! `tests/fuzz` replay.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{cargo_binary, output, root, run, step, target_dir};
use crate::test::is_root;

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--seconds N] [--jobs N] [--input FILE]

  TARGET        one of tests/fuzz/fuzz_targets; all of them where it is left out
  --seconds N   how long each target runs (10)
  --jobs N      targets that run at once (one for each core)
  --input FILE  run TARGET on one input only
";
const CRATE: &str = "tests/fuzz";
const PROFILE: &str = "fuzz";
/// What libFuzzer needs to see which code an input reaches, and what it compares.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
/// No input is longer, takes longer, or takes more memory.
const LIMITS: [&str; 3] = ["-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"];
const DEFAULT_SECONDS: u64 = 10;
/// Between two looks at the programs that run.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of a program's output that are shown when it fails.
const SHOWN_LINES: usize = 30;

struct Options {
    target: Option<String>,
    seconds: u64,
    jobs: usize,
    input: Option<PathBuf>,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let mut options = Self {
            target: None,
            seconds: DEFAULT_SECONDS,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            input: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value"))
            };
            match word.as_str() {
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--jobs" => options.jobs = value()?.parse().context("--jobs")?,
                "--input" => options.input = Some(value()?.into()),
                name if options.target.is_none() && !name.starts_with('-') => {
                    options.target = Some(name.to_owned());
                }
                other => bail!("unknown option {other:?}\n{USAGE}"),
            }
        }
        if options.jobs == 0 || (options.input.is_some() && options.target.is_none()) {
            bail!("{USAGE}");
        }
        Ok(options)
    }

    /// The names of the targets that are wanted.
    fn targets(&self) -> Result<VecDeque<String>> {
        let mut names: Vec<String> = std::fs::read_dir(root().join(CRATE).join("fuzz_targets"))?
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .collect();
        names.sort();
        match &self.target {
            None => Ok(names.into()),
            Some(wanted) if names.contains(wanted) => Ok(VecDeque::from([wanted.clone()])),
            Some(wanted) => bail!("there is no target {wanted:?}; there are {names:?}"),
        }
    }
}

/// Builds the targets and runs them; the first failure is an error.
pub(crate) fn fuzz(words: &[String]) -> Result<()> {
    let options = Options::read(words)?;
    let targets = options.targets()?;
    if !is_root()? {
        bail!("some targets unpack layers of images, which needs root");
    }
    setup::for_fuzzing()?;
    let folder = target_dir()?.join("fuzz");
    let programs = step("build the fuzz targets", || build(&folder))?;
    if let (Some(name), Some(input)) = (&options.target, &options.input) {
        return run(Command::new(programs.join(name)).arg(input));
    }
    let what = format!(
        "run {} targets for {} s each",
        targets.len(),
        options.seconds
    );
    step(&what, || {
        run_all(targets, &options, &Places { folder, programs })
    })
}

/// Gives the folder of the programs.
fn build(folder: &Path) -> Result<PathBuf> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names its host")?;
    let mut command = Command::new(cargo_binary());
    command
        .args(["build", "--package", "k3s-fuzz", "--bins"])
        .args(["--features", "libfuzzer", "--profile", PROFILE])
        // With a target named, build scripts and macros are not instrumented.
        .args(["--target", host, "--target-dir"])
        .arg(folder)
        .env("RUSTFLAGS", INSTRUMENTED);
    run(&mut command)?;
    Ok(folder.join(host).join(PROFILE))
}

struct Places {
    /// For what is found, and for logs.
    folder: PathBuf,
    programs: PathBuf,
}

/// A program that runs.
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

fn run_all(mut waiting: VecDeque<String>, options: &Options, places: &Places) -> Result<()> {
    let mut running: Vec<Running> = Vec::new();
    loop {
        while running.len() < options.jobs
            && let Some(name) = waiting.pop_front()
        {
            running.push(start(name, options.seconds, places)?);
        }
        if running.is_empty() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
        let mut ended = None;
        for (at, it) in running.iter_mut().enumerate() {
            if let Some(status) = it.child.try_wait()? {
                ended = Some((at, status));
                break;
            }
        }
        let Some((at, status)) = ended else { continue };
        let done = running.swap_remove(at);
        if let Err(error) = report(&done, status) {
            for mut other in running {
                // It may have ended by itself.
                let _ = other.child.kill();
                let _ = other.child.wait();
            }
            return Err(error);
        }
    }
}

fn start(name: String, seconds: u64, places: &Places) -> Result<Running> {
    let samples = root().join(CRATE).join("corpus").join(&name);
    let dictionary = root()
        .join(CRATE)
        .join("dictionaries")
        .join(format!("{name}.dict"));
    // What libFuzzer finds stays out of the checkout; the next run begins with it.
    let found = places.folder.join("corpus").join(&name);
    let logs = places.folder.join("logs");
    std::fs::create_dir_all(&found)?;
    std::fs::create_dir_all(&logs)?;
    let log = logs.join(format!("{name}.log"));
    let mut command = Command::new(places.programs.join(&name));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", samples.display()))
        .args(LIMITS)
        .arg(&found)
        .arg(&samples)
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?);
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let child = command.spawn().with_context(|| format!("{command:?}"))?;
    Ok(Running { name, child, log })
}

/// Says how far a target came, or what it failed on.
fn report(done: &Running, status: ExitStatus) -> Result<()> {
    let Running { name, log, .. } = done;
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    if status.success() {
        let last = text.lines().rev().find(|line| line.contains("DONE"));
        println!("    {name}: {}", last.unwrap_or("done").trim());
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..);
    for line in shown.unwrap_or_default() {
        println!("    {line}");
    }
    let input = text
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim());
    match input {
        Some(path) => bail!(
            "{name} fails on {path}\n\
            again: cargo xtask fuzz {name} --input {path}\n\
            as a test: cargo test -p k3s-fuzz samples::{name}"
        ),
        None => bail!(
            "{name} ended with {status}; its output is {}",
            log.display()
        ),
    }
}
