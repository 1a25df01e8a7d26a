//! The suite's run: first the specs that may run beside others, in several processes, then those that
//! want the cluster for themselves.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k3s_harness::{Cluster, ClusterOptions, Image, kubectl_binary};

use crate::args::Options;
use crate::cache::Cache;
use crate::go::Go;
use crate::recipe::{ALL, QUICK};
use crate::report::{self, Specs};
use crate::{images, step};

/// The kubeconfig of a cluster's corner.
const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
/// Longest run of a part. Most specs have limits of their own; some wait until what they test happens.
const LONGEST: &str = "--timeout=3h";
/// The images are unpacked while the server runs.
const IMPORT: Duration = Duration::from_secs(300);

/// Specs that run in the same processes.
struct Part {
    name: &'static str,
    labels: &'static str,
    alone: bool,
}

const PARALLEL: Part = Part {
    name: "parallel",
    labels: "Conformance && !(Serial || Disruptive)",
    alone: false,
};
const SERIAL: Part = Part {
    name: "serial",
    labels: "Conformance && (Serial || Disruptive)",
    alone: true,
};

/// Everything that a run needs.
pub(crate) struct Suite<'a> {
    options: &'a Options,
    suite: PathBuf,
    ginkgo: PathBuf,
    kubectl: PathBuf,
    images: PathBuf,
    /// Names of all images.
    references: Vec<String>,
}

impl<'a> Suite<'a> {
    /// Builds what is not in the cache.
    pub(crate) fn prepare(options: &'a Options, go: &Go, cache: &Cache) -> Result<Self> {
        let recipe = if options.quick { QUICK } else { ALL };
        Ok(Self {
            options,
            suite: go.suite(cache)?,
            ginkgo: go.ginkgo(cache)?,
            kubectl: kubectl_binary()?,
            images: images::archive(recipe, go, cache)?,
            references: recipe.iter().flat_map(|it| it.references()).collect(),
        })
    }

    /// Starts a cluster and runs the suite against it.
    pub(crate) fn run(&self, folder: &Path) -> Result<Specs> {
        let results = &self.options.results;
        fs::create_dir_all(results).with_context(|| results.display().to_string())?;
        let cluster = step("start a cluster with the suite's images", || self.cluster())?;
        let outcome = self.run_parts(&cluster, folder);
        fs::copy(cluster.log_path(), results.join("server.log"))?;
        outcome
    }

    fn run_parts(&self, cluster: &Cluster, folder: &Path) -> Result<Specs> {
        if self.options.quick {
            let list = fs::read_to_string(folder.join("quick.txt"))?;
            let focus: Vec<String> = list.lines().map(whole_name).collect();
            ensure!(!focus.is_empty(), "quick.txt selects nothing");
            return self.run_part(cluster, &PARALLEL, &focus);
        }
        let focus = &self.options.focus;
        let mut specs = self.run_part(cluster, &PARALLEL, focus)?;
        specs.merge(self.run_part(cluster, &SERIAL, focus)?);
        Ok(specs)
    }

    fn cluster(&self) -> Result<Cluster> {
        let cluster = Cluster::start_with(ClusterOptions {
            images: vec![Image::from_archive(&self.images)],
            database: self.options.database,
            ..ClusterOptions::default()
        })?;
        cluster.wait_for("the images are there", IMPORT, || {
            let nodes = cluster.get(&["nodes"])?.to_string();
            let missing = self
                .references
                .iter()
                .find(|name| !nodes.contains(&format!("\"{name}\"")));
            match missing {
                Some(name) => bail!("{name} is missing"),
                None => Ok(()),
            }
        })?;
        Ok(cluster)
    }

    fn run_part(&self, cluster: &Cluster, part: &Part, focus: &[String]) -> Result<Specs> {
        let results = &self.options.results;
        let report = results.join(format!("{}.json", part.name));
        let log = results.join(format!("{}.log", part.name));
        if report.exists() {
            fs::remove_file(&report)?;
        }
        let output = File::create(&log)?;
        let mut command = cluster.corner().command(&self.ginkgo);
        command
            .env("PATH", self.path()?)
            .env("HOME", cluster.corner().dir())
            .args(self.ginkgo_flags(part, focus))
            .arg(&self.suite)
            .arg("--")
            .args(self.suite_flags())
            .stdout(output.try_clone()?)
            .stderr(output);
        let what = format!("run the {} specs (log: {})", part.name, log.display());
        // A failed spec makes ginkgo fail; the report has the outcome.
        step(&what, || Ok(command.status()?))?;
        report::read(&report).with_context(|| last_lines(&log))
    }

    fn ginkgo_flags(&self, part: &Part, focus: &[String]) -> Vec<String> {
        let procs = if part.alone { 1 } else { self.options.procs };
        let mut flags = vec![
            format!("--procs={procs}"),
            "--no-color".to_owned(),
            LONGEST.to_owned(),
            format!("--label-filter={}", part.labels),
            format!("--output-dir={}", self.options.results.display()),
            format!("--json-report={}.json", part.name),
            format!("--junit-report=junit_{}.xml", part.name),
        ];
        flags.extend(focus.iter().map(|it| format!("--focus={it}")));
        flags.extend(self.options.skip.iter().map(|it| format!("--skip={it}")));
        flags
    }

    fn suite_flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--kubeconfig={KUBECONFIG}"),
            format!("--kubectl-path={}", self.kubectl.display()),
            "--provider=local".to_owned(),
            "--disable-log-dump".to_owned(),
            "--allowed-not-ready-nodes=0".to_owned(),
            "--num-nodes=1".to_owned(),
        ];
        if self.options.json {
            flags.push("--kube-api-content-type=application/json".to_owned());
        }
        flags
    }

    /// With the stock kubectl in front: some specs call it by its name alone.
    fn path(&self) -> Result<std::ffi::OsString> {
        let own = self.kubectl.parent().context("kubectl is in a folder")?;
        let others = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(own.to_owned()).chain(std::env::split_paths(&others));
        Ok(std::env::join_paths(all)?)
    }
}

/// An expression that matches the spec of this name only.
fn whole_name(name: &str) -> String {
    let mut escaped = String::new();
    for letter in name.chars() {
        if letter.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    // The suite's own name stands before the spec's.
    format!(" {escaped}$")
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_as_it_is_written() {
        assert_eq!(
            whole_name("[sig-node] a.b (x)"),
            r" \[sig\-node\] a\.b \(x\)$"
        );
    }
}
