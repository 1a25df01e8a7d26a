//! What a component costs: a call, a call that calls back, loading, instantiating, memory.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k3s_base::{Clock, Random};
use k3s_e2e::guests;
use k3s_plugin_host::{
    Contract, Host, HostOptions, Limits, Loaded, Plugin, PluginSpec, Policy, Source, componentize,
};
use k3s_wit_bindings::common::AnyPlugin;

use crate::row;
use crate::stats::percentile;

const CONTRACT: Contract = Contract {
    kind: "caller",
    exports: &[&["k3s:common/plugin@0.1.0"]],
    imports: &[],
};
/// Calls per round: enough to measure microseconds by a clock of nanoseconds.
const CALLS: u32 = 20_000;
const ROUNDS: usize = 15;
const INSTANCES: u32 = 200;

type Caller = Plugin<(), AnyPlugin>;

pub(crate) fn run() -> Result<()> {
    let bytes = caller()?;
    let cache = std::env::temp_dir().join(format!("k3s-bench-{}", std::process::id()));
    let outcome = measure(&bytes, &cache);
    let _ = std::fs::remove_dir_all(&cache);
    outcome
}

/// A component of no kind, so that nothing but the call itself is measured.
fn caller() -> Result<Vec<u8>> {
    let target = std::env::current_exe()?
        .ancestors()
        .nth(2)
        .context("not in a build folder")?
        .join("guests");
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            "wasm32-unknown-unknown",
            "--target-dir",
        ])
        .arg(&target);
    let status = cargo
        .current_dir(guests::root()?.join("tests/guests/caller"))
        .status()?;
    ensure!(status.success(), "the guest could not be built");
    let module = std::fs::read(target.join("wasm32-unknown-unknown/release/caller.wasm"))?;
    componentize(&module).context("the guest is not a component")
}

fn measure(bytes: &[u8], cache: &std::path::Path) -> Result<()> {
    let host = Host::new(HostOptions {
        cache_dir: Some(cache.to_owned()),
        ..HostOptions::default()
    })?;
    let load = || {
        host.load(
            Source {
                name: "caller",
                bytes,
                digest: None,
                compiled: None,
            },
            &CONTRACT,
        )
    };
    let first = timed(load)?.0;
    row(
        "component of 30 KB: compile, check, describe",
        micros(first),
    );
    let mut cached: Vec<Duration> = (0..ROUNDS)
        .map(|_| timed(load).map(|t| t.0))
        .collect::<Result<_, _>>()?;
    row(
        "the same, compiled before (median)",
        micros(percentile(&mut cached, 0.5)),
    );
    let loaded = load()?;

    let plugin = start(&host, &loaded)?;
    row("host → guest call", per_call(|| call(&plugin, b""))?);
    let kibibyte = [b'x'; 1024];
    row(
        "call with 1 KiB in and one host call-back with 1 KiB",
        per_call(|| call(&plugin, &kibibyte))?,
    );

    let mut fresh = Vec::new();
    for _ in 0..CALLS / 100 {
        plugin.recycle();
        fresh.push(timed(|| call(&plugin, b""))?.0);
    }
    row(
        "instantiate, configure and first call (median)",
        micros(percentile(&mut fresh, 0.5)),
    );

    let before = resident_kib()?;
    let many: Vec<Caller> = (0..INSTANCES)
        .map(|_| start(&host, &loaded))
        .collect::<Result<_>>()?;
    let after = resident_kib()?;
    row(
        "resident memory per idle instance",
        format!(
            "{} KiB",
            after.saturating_sub(before) / u64::from(INSTANCES)
        ),
    );
    drop(many);
    Ok(())
}

fn start(host: &Host, loaded: &Loaded) -> Result<Caller> {
    let spec = PluginSpec {
        limits: Limits::default(),
        policy: Policy::default(),
        clock: Clock::system(),
        random: Random::from_os(),
        state: Box::new(|| ()),
        bind: Box::new(|store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            AnyPlugin::new(&mut *store, &instance)
        }),
    };
    let plugin = Plugin::new(host, loaded, &host.linker()?, spec)?;
    call(&plugin, b"")?;
    Ok(plugin)
}

fn call(plugin: &Caller, config: &[u8]) -> Result<()> {
    let answer = plugin.call("configure", |b, store| {
        b.k3s_common_plugin().call_configure(store, config)
    })?;
    black_box(answer).ok().context("the guest refuses")
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T), E> {
    let start = Instant::now();
    let value = work()?;
    Ok((start.elapsed(), value))
}

/// The median of several rounds, per call.
fn per_call(mut call: impl FnMut() -> Result<()>) -> Result<String> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call()?;
        }
        rounds.push(start.elapsed() / CALLS);
    }
    Ok(format!("{} ns", percentile(&mut rounds, 0.5).as_nanos()))
}

fn micros(duration: Duration) -> String {
    format!("{} µs", duration.as_micros())
}

fn resident_kib() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("VmRSS")?;
    line.split_whitespace()
        .nth(1)
        .context("VmRSS")?
        .parse()
        .context("VmRSS")
}
