//! A database that dies while clients write, and what they may see of that: refusals that name it, and
//! nothing lost, nothing twice, nothing torn down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k3s_e2e::SOON;
use k3s_harness::{Background, Cluster, k3s_binary};
use serde_json::Value;

/// Clients that write at the same time.
const WRITERS: usize = 3;

/// Seconds after which a client that is not answered hangs.
const ANSWERED: &str = "40";

/// What is written and watched.
const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";

/// Informers of the server's own parts are dozens; each would list again if its watch had broken.
const LISTS: f64 = 20.0;

/// One try of a client: the object, whether it was acknowledged, and what was said.
struct Try {
    name: String,
    code: String,
    said: String,
}

/// Clients that create one object after the other, each once.
struct Load {
    dir: PathBuf,
    clients: Vec<Background>,
}

impl Load {
    fn start(cluster: &Cluster) -> Result<Self> {
        let dir = cluster.corner().dir().join("load");
        std::fs::create_dir(&dir)?;
        let (k3s, at) = (k3s_binary()?, dir.display());
        let client = |w: usize| {
            let line = format!(
                "cd {at}; n=0; while [ ! -e stop ]; do n=$((n+1)); \
                 printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {{name: w{w}-%d}}\\n' $n > w{w}.yaml; \
                 said=$(timeout {ANSWERED} {} kubectl create -f w{w}.yaml 2>&1 | tr '\\n' ' '; exit ${{PIPESTATUS[0]}}); \
                 echo \"w{w}-$n $? $said\" >> w{w}.log; done",
                k3s.display()
            );
            cluster.corner().background(
                &format!("exec bash -c {}", quoted(&line)),
                &format!("client{w}"),
            )
        };
        let clients = (0..WRITERS).map(client).collect::<Result<_>>()?;
        Ok(Self { dir, clients })
    }

    /// What each client has been told so far.
    fn tries(&self) -> Result<Vec<Vec<Try>>> {
        let read = |w: usize| {
            let text =
                std::fs::read_to_string(self.dir.join(format!("w{w}.log"))).unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().map(parsed).collect::<Result<Vec<_>>>()
        };
        (0..WRITERS).map(read).collect()
    }

    /// Waits until each client was answered so `more` often.
    fn wait_for(
        &self,
        cluster: &Cluster,
        what: &str,
        acknowledged: bool,
        more: usize,
    ) -> Result<()> {
        let of = |tries: &[Try]| {
            tries
                .iter()
                .filter(|t| t.acknowledged() == acknowledged)
                .count()
        };
        let before: Vec<usize> = self.tries()?.iter().map(|tries| of(tries)).collect();
        cluster.wait_for(what, SOON, || {
            let now: Vec<usize> = self.tries()?.iter().map(|tries| of(tries)).collect();
            let all = before
                .iter()
                .zip(&now)
                .all(|(before, now)| *now >= before + more);
            if all {
                Ok(())
            } else {
                bail!("{before:?} became {now:?}")
            }
        })
    }

    fn stop(mut self) -> Result<Vec<Try>> {
        std::fs::write(self.dir.join("stop"), "")?;
        for client in &mut self.clients {
            client.wait(SOON)?;
        }
        Ok(self.tries()?.into_iter().flatten().collect())
    }
}

impl Try {
    fn acknowledged(&self) -> bool {
        self.code == "0"
    }
}

fn parsed(line: &str) -> Result<Try> {
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    let mut next = || {
        words
            .next()
            .with_context(|| format!("a line of a client: {line}"))
    };
    Ok(Try {
        name: next()?,
        code: next()?,
        said: next()?,
    })
}

fn quoted(line: &str) -> String {
    format!("'{}'", line.replace('\'', "'\\''"))
}

/// Kills the database of `cluster` under load, brings it back after `away`, and checks everything that
/// clients and pods must not have noticed.
pub(crate) fn under_load(cluster: &mut Cluster, away: Duration) -> Result<()> {
    let pod = container(cluster, "client")?;
    // kubectl's own lists have no revision.
    let list: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", COLLECTION])?.ok()?)?;
    let from = list["metadata"]["resourceVersion"]
        .as_str()
        .context("a revision")?
        .to_owned();
    let mut watch = watch(cluster, &from)?;
    let load = Load::start(cluster)?;
    load.wait_for(cluster, "writes before the outage", true, 5)?;
    let lists = lists(cluster)?;

    let killed = Instant::now();
    cluster.database()?.kill()?;
    load.wait_for(cluster, "each client is told so", false, 1)?;
    while_it_is_away(cluster)?;
    // The outage itself: as long as was asked for, whatever was found out sooner.
    std::thread::sleep(away.saturating_sub(killed.elapsed()));
    ensure!(watch.is_running(), "the watch ended during the outage");
    cluster.database()?.resume()?;

    load.wait_for(cluster, "writes after the outage", true, 5)?;
    cluster.wait_until_ready()?;
    let more = self::lists(cluster)? - lists;
    ensure!(
        more <= LISTS,
        "{more} lists were asked for, as if watches had broken"
    );
    let tries = load.stop()?;
    nothing_lost(cluster, &tries)?;
    nothing_twice(cluster)?;
    each_seen_once(cluster, &tries)?;
    ensure!(watch.is_running(), "the watch ended");
    ensure!(container(cluster, "client")? == pod, "the pod was touched");
    Ok(())
}

/// Reads go on from memory, and whoever asks learns what is wrong.
fn while_it_is_away(cluster: &Cluster) -> Result<()> {
    cluster.get(&["configmap", "w0-1"])?;
    cluster.get(&["pods"])?;
    let checks = cluster.wait_for("/readyz says no", SOON, || {
        let ready = cluster.kubectl(&["get", "--raw", "/readyz?verbose"])?;
        if ready.code == Some(0) {
            bail!("still ready")
        } else {
            Ok(ready.stdout + &ready.stderr)
        }
    })?;
    ensure!(checks.contains("[-]etcd failed"), "{checks}");
    Ok(())
}

/// A watch as clients make it; its events become lines of a file.
fn watch(cluster: &Cluster, from: &str) -> Result<Background> {
    let (kubectl, config) = (k3s_harness::kubectl_binary()?, "/etc/rancher/k3s/k3s.yaml");
    let path = format!("{COLLECTION}?watch=true&resourceVersion={from}");
    let line = format!(
        "exec {} --kubeconfig {config} get --raw '{path}'",
        kubectl.display()
    );
    cluster.corner().background(&line, "watch.json")
}

/// Lists that the server has answered so far.
fn lists(cluster: &Cluster) -> Result<f64> {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"])?.ok()?;
    let of = metrics
        .lines()
        .filter(|l| l.starts_with("apiserver_request_total{verb=\"LIST\""));
    Ok(of
        .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
        .sum())
}

/// What would differ if the container had been started again.
fn container(cluster: &Cluster, pod: &str) -> Result<Value> {
    let pod = cluster.get(&["pod", pod])?;
    let status = &pod["status"]["containerStatuses"][0];
    Ok(serde_json::json!([
        pod["metadata"]["uid"],
        status["containerID"],
        status["restartCount"],
        status["state"]
    ]))
}

fn nothing_lost(cluster: &Cluster, tries: &[Try]) -> Result<()> {
    let list = cluster.get(&["configmaps"])?;
    let items = list["items"].as_array().into_iter().flatten();
    let there: BTreeSet<&str> = items
        .filter_map(|i| i["metadata"]["name"].as_str())
        .collect();
    let (done, refused): (Vec<_>, Vec<_>) = tries.iter().partition(|t| t.acknowledged());
    let lost: Vec<_> = done
        .iter()
        .filter(|t| !there.contains(t.name.as_str()))
        .map(|t| &t.name)
        .collect();
    ensure!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    for Try { name, code, said } in &refused {
        ensure!(code != "124", "{name} hung");
        ensure!(
            said.contains("datastore") && said.contains("try again"),
            "{name}: {said}"
        );
        let unsure = said.contains("may or may not");
        ensure!(
            unsure || !there.contains(name.as_str()),
            "{name} is there, although it was said: {said}"
        );
    }
    let example = refused.first().context("nothing was refused")?;
    println!(
        "{} writes acknowledged, {} refused, for example: {}",
        done.len(),
        refused.len(),
        example.said
    );
    Ok(())
}

fn nothing_twice(cluster: &mut Cluster) -> Result<()> {
    let twice = cluster.database()?.ask_in(
        "cluster",
        "SELECT name, COUNT(*) FROM kine WHERE name LIKE '/registry/configmaps/default/w%' GROUP BY name HAVING COUNT(*) > 1",
    )?;
    ensure!(twice.trim().is_empty(), "written twice: {twice}");
    Ok(())
}

/// The watch that was there before has seen every object come, once, in the order of revisions.
fn each_seen_once(cluster: &Cluster, tries: &[Try]) -> Result<()> {
    let path = cluster.corner().dir().join("watch.json");
    let wanted: BTreeSet<&str> = tries
        .iter()
        .filter(|t| t.acknowledged())
        .map(|t| t.name.as_str())
        .collect();
    cluster.wait_for("the watch has seen every write", SOON, || {
        let text = std::fs::read_to_string(&path)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let (mut seen, mut last) = (BTreeMap::<String, u32>::new(), 0);
        for line in whole.lines() {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let meta = &event["object"]["metadata"];
            let revision: u64 = meta["resourceVersion"]
                .as_str()
                .context("a revision")?
                .parse()?;
            ensure!(revision > last, "revision {revision} after {last}");
            last = revision;
            if event["type"] == "ADDED" {
                *seen
                    .entry(meta["name"].as_str().unwrap_or_default().to_owned())
                    .or_default() += 1;
            }
        }
        let missing: Vec<_> = wanted
            .iter()
            .filter(|name| !seen.contains_key(**name))
            .collect();
        let twice: Vec<_> = seen.iter().filter(|(_, n)| **n > 1).collect();
        ensure!(
            missing.is_empty() && twice.is_empty(),
            "missing {missing:?}, twice {twice:?}"
        );
        Ok(())
    })
}
