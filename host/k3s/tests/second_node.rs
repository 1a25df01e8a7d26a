//! A node in a process of its own, beside a server without one: the same stages as the server's node,
//! with clients that speak HTTPS and certificates that the server's authorities issued.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test without a harness reports on its terminal"
)]
#![allow(
    clippy::expect_used,
    reason = "a client without its kubeconfig fails the test"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k3s::agent::{Agent, AgentOptions};
use k3s_base::{Clock, Random};
use k3s_client::{Client, ClientFactory, KubeconfigSource};
use k3s_config::{ServerSettings, parse_server};
use k3s_harness::{Cluster, ClusterOptions, busybox};
use k3s_meta::user::UserInfo;
use k3s_observe::{LogOptions, init_logging};
use k3s_pki::{Kubeconfig, NodeIdentityOptions, ServerIdentity, ServerIdentityOptions};

const TEST: &str = "a_second_process_is_a_node_of_the_cluster";
/// The first argument of this program inside the corner.
const NODE: &str = "--second-node";
const NAME: &str = "second";
const SERVER_DATA: &str = "/var/lib/rancher/k3s";
const NODE_DATA: &str = "/var/lib/rancher/second";
const SERVER: &str = "https://127.0.0.1:6443";
const ADMIN: &str = "/etc/rancher/k3s/k3s.yaml";
const NODE_KUBECONFIG: &str = "/var/lib/rancher/second/node.kubeconfig";
const SHELL: &str = "docker.io/library/shell:1";
/// Long enough for a loaded two-core machine, short enough to see a hang.
const SOON: Duration = Duration::from_secs(60);

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: hello}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: hello
    image: docker.io/library/shell:1
    command: [sh, -c, 'echo hello from $(hostname); while :; do sleep 1; done']
";

fn main() -> ExitCode {
    if let Some(code) = k3s::run_helper() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first() {
        Some(first) if first == NODE => run_node(),
        // What `cargo test NAME` gives every test program.
        Some(filter) if !filter.starts_with('-') && !TEST.contains(filter.as_str()) => Ok(()),
        _ => {
            println!("test {TEST}");
            a_second_process_is_a_node_of_the_cluster()
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn a_second_process_is_a_node_of_the_cluster() -> Result<()> {
    let cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        images: vec![busybox(SHELL)?],
        without_node: true,
        ..ClusterOptions::default()
    })?;
    let corner = cluster.corner();
    let images = format!("{NODE_DATA}/agent/images");
    corner
        .sh(&format!(
            "mkdir -p {images} && cp {SERVER_DATA}/agent/images/* {images}"
        ))?
        .ok()?;
    let program = std::env::current_exe()?;
    let _node = corner.background(&format!("exec {} {NODE}", program.display()), "node.log")?;
    let with_log = || {
        let log = std::fs::read_to_string(corner.dir().join("node.log"));
        format!("the node's log:\n{}", log.unwrap_or_default())
    };
    cluster.wait_for_node().with_context(with_log)?;
    runs_a_pod(&cluster).with_context(with_log)
}

fn runs_a_pod(cluster: &Cluster) -> Result<()> {
    cluster.apply(POD)?;
    let pod = cluster.wait_for("the pod runs", SOON, || {
        let pod = cluster.get(&["pod", "hello"])?;
        match pod["status"]["phase"].as_str() {
            Some("Running") => Ok(pod),
            _ => bail!("{}", pod["status"]),
        }
    })?;
    ensure!(pod["spec"]["nodeName"] == NAME, "{}", pod["spec"]);
    // From the API server to the node's kubelet, which trusts the cluster's authorities.
    cluster.wait_for("the pod's log is there", SOON, || {
        let log = cluster.kubectl(&["logs", "hello"])?.ok()?;
        ensure!(log.contains("hello from hello"), "{log}");
        Ok(())
    })?;
    // What the node proves itself with: it may read itself, and not what only an administrator may.
    let as_node = ["--kubeconfig", NODE_KUBECONFIG];
    cluster
        .kubectl(&[&as_node[..], &["get", "node", NAME]].concat())?
        .ok()?;
    let refusal = cluster
        .kubectl(&[&as_node[..], &["get", "secrets", "-A"]].concat())?
        .failed()?;
    ensure!(refusal.contains("system:node:second"), "{refusal}");
    let node = cluster.get(&["node", NAME])?;
    let labels = &node["metadata"]["labels"];
    ensure!(
        labels["node-role.kubernetes.io/control-plane"].is_null(),
        "{labels}"
    );
    Ok(())
}

/// The node's process: issues its certificates with the server's authorities, as the server does for an
/// agent that joins, and runs until it is killed.
fn run_node() -> Result<()> {
    init_logging(&LogOptions {
        filter: "info".to_owned(),
        file: None,
        also_stderr: true,
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let agent = Agent::start(options()?).await?;
        tokio::signal::ctrl_c().await?;
        agent.stop().await;
        Ok(())
    })
}

fn options() -> Result<AgentOptions> {
    let words = [
        "--data-dir",
        NODE_DATA,
        "--kubelet-arg",
        "eviction-hard=memory.available<100Mi,nodefs.available<100Mi,imagefs.available<100Mi",
        // A full disk must not cost the test its image.
        "--kubelet-arg",
        "image-gc-high-threshold=100",
    ]
    .map(str::to_owned);
    let (settings, _) = ServerSettings::resolve(&parse_server(&words, &|_| None)?)?;
    let addresses = vec!["192.0.2.10".parse()?];
    let clock = Clock::system();
    let server = ServerIdentity::ensure(
        &ServerIdentityOptions {
            data_dir: Path::new(SERVER_DATA),
            token: None,
            agent_token: None,
            extra_dns_names: Vec::new(),
            addresses: Vec::new(),
            cluster_domain: &settings.cluster.cluster_domain,
            node_name: "localhost",
            server_url: SERVER,
        },
        &Random::from_os(),
        clock.now(),
    )?;
    let node = NodeIdentityOptions {
        data_dir: &settings.node.data_dir,
        name: NAME,
        addresses: &addresses,
    };
    let identity = server.issue_node(&node, clock.now())?;
    let kubeconfig = Kubeconfig {
        server: SERVER,
        ca_pem: &identity.server_ca_pem,
        client: &identity.kubelet_client,
    };
    std::fs::write(NODE_KUBECONFIG, kubeconfig.render())?;
    Ok(AgentOptions {
        name: NAME.to_owned(),
        addresses,
        identity,
        clients: ClientFactory::new(over_https),
        settings: (*settings.node).clone(),
        cluster: (*settings.cluster).clone(),
        clock,
    })
}

/// A client over HTTPS that acts as `user`, whom the administrator impersonates.
fn over_https(user: UserInfo) -> Client {
    let source = KubeconfigSource {
        impersonate: Some(user.name),
        impersonate_groups: user.groups,
        ..KubeconfigSource::new(ADMIN)
    };
    Client::from_kubeconfig(source).expect("the administrator's kubeconfig is there")
}
