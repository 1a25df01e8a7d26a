//! The ingress data plane beside Debian's nginx: the same pods behind both, the same load on both, in
//! interleaved rounds, at full speed and at a fixed rate; what a request waits at most while the component
//! is replaced; and how long a change takes with 10,000 routes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k3s_e2e::{SOON, WEB_1, fixture, web};
use k3s_harness::{Cluster, ClusterOptions, http_server};
use tokio::net::TcpStream;

use crate::load::RUN;
use crate::row;
use crate::stats::{median, ms, percentile};

const OURS: &str = "192.0.2.10:80";
const THEIRS: &str = "192.0.2.10:8080";
const ROUNDS: usize = 3;
/// Requests per second of the fixed load.
const RATE: &str = "1000";
/// The connections of the fixed load: enough that a slow answer delays no other request.
const CONNECTIONS: usize = 64;
/// The component's configuration.
const CONFIG: &str = "/etc/rancher/k3s/ingress.json";
/// Ingresses of 100 paths each.
const INGRESSES: usize = 100;

/// Starts a cluster with two pods, and both proxies before them.
pub(crate) fn run() -> Result<()> {
    let images = vec![http_server(WEB_1, "one")?];
    let prepare = vec![format!(
        "mkdir -p /etc/rancher/k3s && echo '{{}}' > {CONFIG}"
    )];
    let flags = vec![format!("--plugin=ingress=traefik,config={CONFIG}")];
    let cluster = Cluster::start_with(ClusterOptions {
        flags,
        images,
        prepare,
        ..ClusterOptions::default()
    })?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    cluster.apply(&paths("bench", 0, 1))?;
    wait_for(&cluster, OURS, "/p0")?;
    let nginx = start_nginx(&cluster)?;
    wait_for(&cluster, THEIRS, "/p0")?;
    for clients in ["1", "32"] {
        let mut figures = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for _ in 0..ROUNDS {
            for (at, (rates, tails)) in [OURS, THEIRS].iter().zip(&mut figures) {
                let output = inside(&cluster, &["http", clients, at])?;
                let (rate, tail) = output.split_once(' ').context("two figures")?;
                rates.push(rate.parse::<u64>()?);
                tails.push(tail.parse::<u64>()?);
            }
        }
        let [(mut ours, mut our_tails), (mut theirs, mut their_tails)] = figures;
        row(
            &format!(
                "ingress requests/s, {clients} connections, two cores with client and pods (nginx in the same run)"
            ),
            format!("{} ({})", median(&mut ours), median(&mut theirs)),
        );
        let tail = |tails: &mut Vec<u64>| ms(Duration::from_micros(median(tails)));
        row(
            &format!("its p99, {clients} connections"),
            format!("{} ({})", tail(&mut our_tails), tail(&mut their_tails)),
        );
    }
    fixed_rate(&cluster)?;
    drop(nginx);
    swap(&cluster)?;
    let all: Vec<String> = (0..INGRESSES)
        .map(|at| paths(&format!("many-{at}"), at * 100, 100))
        .collect();
    cluster.apply(&all.join("---\n"))?;
    wait_for(&cluster, OURS, &format!("/p{}", INGRESSES * 100 - 1))?;
    let started = Instant::now();
    cluster.apply(&paths("bench", 1_000_000, 1))?;
    wait_for(&cluster, OURS, "/p1000000")?;
    row(
        "kubectl apply → served, with 10,000 other routes",
        ms(started.elapsed()),
    );
    Ok(())
}

/// The same rate for both, in turn.
fn fixed_rate(cluster: &Cluster) -> Result<()> {
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (at, tails) in [OURS, THEIRS].iter().zip(&mut figures) {
            tails.push(steady_tail(&inside(cluster, &["steady", RATE, at])?)?.0);
        }
    }
    let [ours, theirs] = figures.map(|mut tails| ms(Duration::from_micros(median(&mut tails))));
    row(
        &format!("ingress p99 at {RATE} requests/s (nginx in the same run)"),
        format!("{ours} ({theirs})"),
    );
    Ok(())
}

/// Replaces the component in the middle of a fixed load; a failed request fails the benchmark.
fn swap(cluster: &Cluster) -> Result<()> {
    let quiet = steady_tail(&inside(cluster, &["steady", RATE, OURS])?)?.1;
    let output = std::thread::scope(|scope| {
        let load = scope.spawn(|| inside(cluster, &["steady", RATE, OURS]));
        std::thread::sleep(RUN / 2);
        let line = format!(
            "echo '{{\"allowCrossNamespace\": true}}' > {CONFIG} && pkill -HUP -o -f 'k3s server'"
        );
        let changed = cluster.corner().sh(&line).and_then(|output| output.ok());
        let output = load
            .join()
            .map_err(|_| anyhow::anyhow!("the load ended early"))?;
        changed?;
        output
    })?;
    let swapped = steady_tail(&output)?.1;
    let told = cluster.kubectl(&["get", "events", "-n", "default"])?.ok()?;
    ensure!(
        told.contains("was replaced by"),
        "the component was not replaced:\n{told}"
    );
    let (quiet, swapped) = (
        ms(Duration::from_micros(quiet)),
        ms(Duration::from_micros(swapped)),
    );
    row(
        &format!(
            "slowest request at {RATE}/s while the ingress component is replaced (without), none failed"
        ),
        format!("{swapped} ({quiet})"),
    );
    Ok(())
}

/// The 99th percentile and the slowest, in microseconds.
fn steady_tail(output: &str) -> Result<(u64, u64)> {
    let (tail, slowest) = output.split_once(' ').context("two figures")?;
    Ok((tail.parse()?, slowest.parse()?))
}

fn paths(name: &str, from: usize, count: usize) -> String {
    let paths = (from..from + count).map(|at| fixture!("ingress-path", PATH = format!("/p{at}")));
    fixture!("ingress", NAME = name) + &paths.collect::<String>()
}

fn wait_for(cluster: &Cluster, at: &str, path: &str) -> Result<()> {
    cluster.wait_for(&format!("{at}{path} answers"), SOON, || {
        cluster
            .corner()
            .sh(&format!(
                "curl -sS -f -m 5 -H 'Host: bench.example.com' http://{at}{path}"
            ))?
            .ok()
            .map(drop)
    })
}

/// Ended when dropped.
struct Nginx(std::process::Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx as a proxy to the same pods, with connections kept open as ours are.
fn start_nginx(cluster: &Cluster) -> Result<Nginx> {
    let pods = cluster.get(&["pods", "-l", "app=web"])?;
    let items = pods["items"].as_array().context("pods")?;
    let servers: String = items
        .iter()
        .filter_map(|pod| pod["status"]["podIP"].as_str())
        .map(|ip| format!("server {ip}:80; "))
        .collect();
    let config = format!(
        "daemon off; worker_processes auto; pid /tmp/k3s/nginx.pid; error_log stderr;\nevents {{ worker_connections 1024; }}\n\
         http {{ access_log off; client_body_temp_path /tmp/k3s/b; proxy_temp_path /tmp/k3s/p; fastcgi_temp_path /tmp/k3s/f; \
         uwsgi_temp_path /tmp/k3s/u; scgi_temp_path /tmp/k3s/s; keepalive_requests 100000000; \
         upstream pods {{ {servers} keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen 8080; location / {{ proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }} }}\n"
    );
    let file = cluster.corner().dir().join("proxy.conf");
    std::fs::write(&file, config)?;
    Ok(Nginx(
        cluster
            .corner()
            .command("/usr/sbin/nginx")
            .arg("-c")
            .arg(file)
            .spawn()
            .context("start nginx")?,
    ))
}

fn inside(cluster: &Cluster, words: &[&str]) -> Result<String> {
    let output = cluster
        .corner()
        .command(std::env::current_exe()?)
        .arg("inside")
        .args(words)
        .output()?;
    ensure!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Inside: so many requests per second, each timed from when it was due; the 99th percentile and the
/// slowest in microseconds.
pub(crate) async fn steady(rate: usize, at: String) -> Result<String> {
    let total = rate * usize::try_from(RUN.as_secs())?;
    let start = Instant::now();
    let mut tasks = Vec::new();
    for first in 0..CONNECTIONS {
        let at = at.clone();
        tasks.push(tokio::spawn(async move {
            let (mut sender, connection) =
                handshake(TokioIo::new(TcpStream::connect(&at).await?)).await?;
            let driver = tokio::spawn(connection);
            let mut times = Vec::new();
            #[allow(clippy::cast_precision_loss, reason = "small counts")]
            for turn in (first..total).step_by(CONNECTIONS) {
                let due = start + RUN.mul_f64(turn as f64 / total as f64);
                tokio::time::sleep_until(due.into()).await;
                ask(&mut sender, &at).await?;
                times.push(due.elapsed());
            }
            driver.abort();
            anyhow::Ok(times)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    let (tail, slowest) = (percentile(&mut all, 0.99), percentile(&mut all, 1.0));
    Ok(format!("{} {}", tail.as_micros(), slowest.as_micros()))
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, at: &str) -> Result<()> {
    sender.ready().await?;
    let request = Request::get("/p0")
        .header("host", "bench.example.com")
        .body(Full::default())?;
    let answer = sender.send_request(request).await?;
    ensure!(
        answer.status().is_success(),
        "{at} answered {}",
        answer.status()
    );
    answer.into_body().collect().await?;
    Ok(())
}

/// Inside: requests per second and the 99th percentile in microseconds.
pub(crate) async fn http(clients: usize, at: String) -> Result<String> {
    let end = Instant::now() + RUN;
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let at = at.clone();
        tasks.push(tokio::spawn(async move {
            let (mut sender, connection) =
                handshake(TokioIo::new(TcpStream::connect(&at).await?)).await?;
            let driver = tokio::spawn(connection);
            let mut times = Vec::new();
            while Instant::now() < end {
                let started = Instant::now();
                ask(&mut sender, &at).await?;
                times.push(started.elapsed());
            }
            driver.abort();
            anyhow::Ok(times)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    let rate = u64::try_from(all.len())? / RUN.as_secs();
    Ok(format!("{rate} {}", percentile(&mut all, 0.99).as_micros()))
}
