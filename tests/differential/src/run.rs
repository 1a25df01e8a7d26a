//! Sends the cases to both servers and gathers the differences.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;

use crate::compare::{Aspect, Difference, compare};
use crate::corpus::{Case, Corpus};
use crate::expected::Expected;
use crate::group::Groups;
use crate::normalise::normalise;
use crate::options::Options;
use crate::request::Request;
use crate::target::{Answer, Seen, Target};

/// Cases on the way at once: enough to keep both servers busy on a small machine.
const AT_ONCE: usize = 6;
/// How long the servers may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
const READY_INTERVAL: Duration = Duration::from_millis(100);
/// The longest body that an example shows.
const LONGEST_BODY: usize = 6_000;

/// Both servers.
#[derive(Clone)]
pub struct Servers {
    /// kube-apiserver.
    pub upstream: Target,
    /// This server.
    pub ours: Target,
}

/// One request and both answers.
struct Exchange {
    request: Request,
    sent: String,
    upstream: Result<Answer>,
    ours: Result<Answer>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that were sent to each server.
    pub requests: u64,
    /// Differences that are meant.
    pub expected: usize,
    /// Faults.
    pub groups: Groups,
}

/// Prepares both servers and runs the cases.
///
/// # Errors
/// When a server does not become ready, or upstream refuses a sample.
pub async fn run(servers: &Servers, dir: &Path, options: &Options) -> Result<Outcome> {
    let corpus = Corpus::load(dir)?;
    let mut expected = Expected::load(&dir.join("expected.yaml"))?;
    if options.quick {
        expected.add(Expected::load(&dir.join("faults.yaml"))?);
    }
    ready(servers).await?;
    let mut outcome = Outcome::default();
    for request in corpus.world() {
        let exchange = exchange(
            servers,
            &request,
            &mut Seen::default(),
            &mut Seen::default(),
        )
        .await;
        let case = Case {
            index: 0,
            title: format!("world {}", request.about),
            steps: Vec::new(),
        };
        is_made(&exchange)?;
        outcome.take(&case, &exchange, &expected);
    }
    let mut cases = std::pin::pin!(
        futures_util::stream::iter(indices(&corpus, options))
            .map(|index| corpus.case(options.seed, index))
            .filter(|case| std::future::ready(is_wanted(case, options)))
            .map(|case| play(servers, case))
            .buffered(AT_ONCE)
    );
    while outcome.requests < options.requests
        && let Some((case, exchanges)) = cases.next().await
    {
        for exchange in &exchanges {
            outcome.take(&case, exchange, &expected);
        }
        if options.case.is_some() {
            show(&case, &exchanges);
        }
    }
    Ok(outcome)
}

/// Cases in order; those that come first in every run, and then as many as there are requests.
fn indices(corpus: &Corpus, options: &Options) -> std::ops::Range<u64> {
    match options.case {
        Some(case) => case..case + 1,
        // A filter may leave out many.
        None => 0..corpus.fixed() + options.requests.saturating_mul(100),
    }
}

fn is_wanted(case: &Case, options: &Options) -> bool {
    let matches = options
        .kind
        .as_ref()
        .is_none_or(|kind| kind.is_match(&case.title));
    matches && !case.steps.is_empty()
}

async fn ready(servers: &Servers) -> Result<()> {
    let end = tokio::time::Instant::now() + READY_WITHIN;
    for (name, target) in [("upstream", &servers.upstream), ("ours", &servers.ours)] {
        let request = Request::new("GET", "/readyz", "path");
        loop {
            let answer = target.send(&request, "").await;
            if answer.as_ref().is_ok_and(|a| a.code == 200) {
                break;
            }
            if tokio::time::Instant::now() > end {
                bail!("{name} is not ready after {READY_WITHIN:?}: {answer:?}");
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
    }
    Ok(())
}

fn is_made(exchange: &Exchange) -> Result<()> {
    let answer = match &exchange.upstream {
        Ok(answer) => answer,
        Err(error) => bail!("upstream: {error:#}"),
    };
    ensure!(
        answer.code < 300 || answer.code == 409,
        "upstream refuses a sample: {} {}: {}",
        exchange.request.path,
        exchange.sent,
        answer.body
    );
    Ok(())
}

async fn play(servers: &Servers, case: Case) -> (Case, Vec<Exchange>) {
    let (mut upstream, mut ours) = (Seen::default(), Seen::default());
    let mut exchanges = Vec::new();
    for request in &case.steps {
        exchanges.push(exchange(servers, request, &mut upstream, &mut ours).await);
    }
    (case, exchanges)
}

async fn exchange(
    servers: &Servers,
    request: &Request,
    upstream: &mut Seen,
    ours: &mut Seen,
) -> Exchange {
    let (theirs, own) = futures_util::future::join(
        ask(&servers.upstream, request, upstream),
        ask(&servers.ours, request, ours),
    )
    .await;
    let (sent, theirs) = match theirs {
        Ok((sent, answer)) => (sent, Ok(answer)),
        Err(error) => (String::new(), Err(error)),
    };
    Exchange {
        request: request.clone(),
        sent,
        upstream: theirs,
        ours: own.map(|(_, answer)| answer),
    }
}

async fn ask(target: &Target, request: &Request, seen: &mut Seen) -> Result<(String, Answer)> {
    let body = target.body(&request.body, seen).await?;
    let answer = target.send(request, &body).await?;
    seen.note(&answer);
    Ok((body, answer))
}

impl Outcome {
    fn take(&mut self, case: &Case, exchange: &Exchange, expected: &Expected) {
        self.requests += 1;
        let about = &exchange.request.about;
        for difference in differences(exchange) {
            if expected.reason(&difference, about).is_some() {
                self.expected += 1;
                continue;
            }
            self.groups
                .add(&difference, about, || example(case, exchange, &difference));
        }
    }
}

fn differences(exchange: &Exchange) -> Vec<Difference> {
    match (&exchange.upstream, &exchange.ours) {
        (Ok(upstream), Ok(ours)) => compare(&normalise(upstream), &normalise(ours)),
        (upstream, ours) => {
            let text = |side: &Result<Answer>| match side {
                Ok(answer) => format!("{} {}", answer.code, answer.body),
                Err(error) => format!("{error:#}"),
            };
            vec![Difference {
                aspect: Aspect::Silent,
                field: String::new(),
                upstream: text(upstream),
                ours: text(ours),
            }]
        }
    }
}

fn example(case: &Case, exchange: &Exchange, difference: &Difference) -> String {
    let code = |side: &Result<Answer>| side.as_ref().map_or(0, |answer| answer.code);
    let cut = |text: &str| text.chars().take(400).collect::<String>();
    format!(
        "      case {}: {}\n      {} {} ({} and {}) {}\n      {} | {}",
        case.index,
        case.title,
        exchange.request.method,
        exchange.request.uri(),
        code(&exchange.upstream),
        code(&exchange.ours),
        difference.field,
        cut(&difference.upstream),
        cut(&difference.ours),
    )
}

fn show(case: &Case, exchanges: &[Exchange]) {
    let mut text = format!("case {}: {}\n", case.index, case.title);
    for exchange in exchanges {
        let cut = |from: &str| from.chars().take(LONGEST_BODY).collect::<String>();
        let request = &exchange.request;
        let head = format!(
            "{} {} ({})",
            request.method,
            request.uri(),
            request.content_type
        );
        let _ = writeln!(text, "\n{head}\n{}", cut(&exchange.sent));
        for (name, side) in [("upstream", &exchange.upstream), ("ours", &exchange.ours)] {
            let _ = match side {
                Ok(a) => writeln!(
                    text,
                    "{name}: {} {:?}\n{}",
                    a.code,
                    a.warnings,
                    cut(&a.body.to_string())
                ),
                Err(error) => writeln!(text, "{name}: {error:#}"),
            };
        }
    }
    println!("{text}");
}

/// What a run ends with.
///
/// # Errors
/// When there are differences without a reason.
pub fn conclude(outcome: &Outcome, report: Option<&Path>) -> Result<()> {
    let text = outcome.groups.report();
    if let Some(path) = report {
        std::fs::write(path, &text).with_context(|| path.display().to_string())?;
    }
    print!("{text}");
    println!(
        "{} requests to each server; {} differences are expected",
        outcome.requests, outcome.expected
    );
    ensure!(
        outcome.groups.is_empty(),
        "{} groups of differences without a reason",
        outcome.groups.len()
    );
    Ok(())
}
