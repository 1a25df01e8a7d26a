//! What a user gets wrong: one clear error each, in Kubernetes' wording, and nothing half-done.

use anyhow::{Result, ensure};
use k3s_e2e::guests::{self, build};
use k3s_e2e::{cluster, fixture};
use k3s_harness::{Cluster, ClusterOptions, Corner, k3s_binary};

const CONFIG_MAP: &str = include_str!("../fixtures/config-map-empty.yaml");

fn plain() -> Result<Cluster> {
    Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    })
}

/// Applies a manifest that must be refused with every one of `parts`.
fn refused(cluster: &Cluster, args: &[&str], manifest: &str, parts: &[&str]) -> Result<()> {
    let error = cluster.kubectl_with(args, Some(manifest))?.failed()?;
    for part in parts {
        ensure!(
            error.contains(part),
            "{args:?} {manifest}\nsaid {error:?}\nwithout {part:?}"
        );
    }
    Ok(())
}

#[test]
fn manifests() -> Result<()> {
    let cluster = plain()?;
    let create = ["create", "-f", "-"];
    refused(&cluster, &create, "a: [", &["error parsing"])?;
    let unknown = format!("{CONFIG_MAP}colour: red\n");
    refused(
        &cluster,
        &create,
        &unknown,
        &["strict decoding error", "unknown field \"colour\""],
    )?;
    let warned = cluster.kubectl_with(&["create", "--validate=warn", "-f", "-"], Some(&unknown))?;
    ensure!(
        warned.code == Some(0) && warned.stderr.contains("unknown field \"colour\""),
        "{warned:?}"
    );
    let deployment = |replicas: &str, label: &str| {
        fixture!(
            "deployment-without-image",
            REPLICAS = replicas,
            LABEL = label
        )
    };
    refused(
        &cluster,
        &create,
        &deployment("'three'", "a"),
        &[
            "Deployment in version \"v1\" cannot be handled as a Deployment",
            "cannot unmarshal string",
        ],
    )?;
    refused(
        &cluster,
        &create,
        &deployment("-1", "a"),
        &["spec.replicas", "must be greater than or equal to 0"],
    )?;
    refused(
        &cluster,
        &create,
        &deployment("1", "b"),
        &["`selector` does not match template `labels`"],
    )?;
    refused(
        &cluster,
        &create,
        &fixture!("config-map-upper-case"),
        &[
            "The ConfigMap \"UPPER\" is invalid",
            "lowercase RFC 1123 subdomain",
        ],
    )?;
    refused(
        &cluster,
        &["create", "-n", "nowhere", "-f", "-"],
        CONFIG_MAP,
        &[
            "Error from server (NotFound)",
            "namespaces \"nowhere\" not found",
        ],
    )?;
    ensure!(
        cluster
            .kubectl(&["get", "deployments"])?
            .stderr
            .contains("No resources found"),
        "something was created"
    );

    cluster.apply(&deployment("0", "a"))?;
    let other_selector =
        deployment("0", "b").replace("matchLabels: {app: a}", "matchLabels: {app: b}");
    refused(
        &cluster,
        &["apply", "-f", "-"],
        &other_selector,
        &["field is immutable"],
    )?;
    Ok(())
}

#[test]
fn requests() -> Result<()> {
    let cluster = plain()?;
    cluster.apply(CONFIG_MAP).ok();
    let stale = &fixture!("config-map-stale");
    refused(
        &cluster,
        &["replace", "-f", "-"],
        stale,
        &[
            "Error from server (Conflict)",
            "the object has been modified; please apply your changes to the latest version and try again",
        ],
    )?;
    let forbidden = cluster
        .kubectl(&["get", "secrets", "--as", "jane"])?
        .failed()?;
    ensure!(forbidden.contains("secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\""), "{forbidden}");
    let unauthorized = cluster
        .kubectl(&[
            "get",
            "pods",
            "--kubeconfig",
            "/dev/null",
            "--server",
            "https://127.0.0.1:6443",
            "--insecure-skip-tls-verify",
            "--token",
            "wrong",
        ])?
        .failed()?;
    ensure!(
        unauthorized.contains("You must be logged in to the server")
            || unauthorized.contains("Unauthorized"),
        "{unauthorized}"
    );
    let applied = cluster
        .kubectl_with(&["apply", "--server-side", "-f", "-"], Some(CONFIG_MAP))?
        .failed()?;
    ensure!(applied.contains("server-side apply"), "{applied}");
    let big = format!("{CONFIG_MAP}data: {{big: '{}'}}\n", "x".repeat(4 << 20));
    refused(&cluster, &["create", "-f", "-"], &big, &["too large"])?;
    let missing = cluster.kubectl(&["get", "pod", "nobody"])?.failed()?;
    ensure!(
        missing.contains("Error from server (NotFound): pods \"nobody\" not found"),
        "{missing}"
    );
    Ok(())
}

/// Starts a server that must refuse, and gives its exit code and log.
fn refused_start(flags: &[&str], prepare: &str) -> Result<String> {
    let options = ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start_with(options)?;
    cluster.stop_server(std::time::Duration::from_secs(10))?;
    cluster.corner().sh(prepare)?.ok()?;
    let words: Vec<String> = ["server", "--disable-agent"]
        .iter()
        .chain(flags)
        .map(|f| (*f).to_owned())
        .collect();
    let output = cluster.k3s(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(output.code == Some(1), "{output:?}");
    Ok(output.stderr)
}

#[test]
fn starts() -> Result<()> {
    let db = "/var/lib/rancher/k3s/server/db/state.db";
    for (flags, prepare, part) in [
        (&["--no-such-flag"][..], "true".to_owned(), "--no-such-flag"),
        (
            &["--datastore-endpoint=https://etcd:2379"],
            "true".to_owned(),
            "etcd is not supported",
        ),
        (
            &["--secrets-encryption"],
            "true".to_owned(),
            "--secrets-encryption is not supported",
        ),
        (
            &[],
            format!("rm -f {db}*; head -c 65536 /dev/urandom > {db}"),
            "state.db",
        ),
        (
            &["--plugin=datastore=/etc/passwd"],
            "true".to_owned(),
            "/etc/passwd",
        ),
        (
            &["--plugin=cni=/no/such.wasm"],
            "true".to_owned(),
            "/no/such.wasm",
        ),
        (
            &[],
            "setsid busybox nc -ll -p 6443 -e true >/dev/null 2>&1 & sleep 0.3".to_owned(),
            "6443",
        ),
    ] {
        let error = refused_start(flags, &prepare)?;
        let lines: Vec<&str> = error
            .lines()
            .filter(|l| l.starts_with("k3s: ") || l.starts_with("error"))
            .collect();
        ensure!(
            lines.len() == 1 && error.contains(part),
            "{flags:?} {prepare}: {error}"
        );
    }
    Ok(())
}

#[test]
fn plugins() -> Result<()> {
    let (calico, curious, corner) = (build("calico")?, build("curious")?, Corner::new()?);
    let core = corner.dir().join("core.wasm");
    std::fs::write(&core, b"\0asm\x01\0\0\0")?;
    let (calico, curious, core) = (calico.display(), curious.display(), core.display());
    for (plugin, said) in [
        ("storage=/no/such.wasm".to_owned(), "/no/such.wasm"),
        (
            format!("ingress={core}"),
            "a core WebAssembly module without component metadata",
        ),
        (
            "load-balancer=/etc/passwd".to_owned(),
            "not a WebAssembly component",
        ),
        (format!("ingress={calico}"), "not a ingress plugin"),
        (
            format!("load-balancer={curious}"),
            "k3s:volumes/directories@0.1.0",
        ),
        (
            format!("load-balancer={curious},grant=volumes"),
            "unknown grant",
        ),
        (format!("cni={calico},digest=sha256:12"), "digest"),
        ("ingress=klipper".to_owned(), "(bundled: traefik)"),
        ("ingress".to_owned(), "KIND=REF"),
    ] {
        guests::refused(&corner, &plugin, said)?;
    }
    Ok(())
}

#[test]
fn not_root() -> Result<()> {
    let cluster = plain()?;
    let k3s = k3s_binary()?;
    let output = cluster.corner().sh(&format!("cp {} /var/tmp/k3s-nobody-{1} && chmod 755 /var/tmp/k3s-nobody-{1} && setpriv --reuid 65534 --clear-groups /var/tmp/k3s-nobody-{1} server; code=$?; rm /var/tmp/k3s-nobody-{1}; exit $code", k3s.display(), cluster.corner().name()))?;
    let error = output.failed()?;
    ensure!(error.contains("must run as root"), "{error}");
    Ok(())
}

#[test]
fn a_node_without_cgroups_is_refused() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.stop_server(std::time::Duration::from_secs(10))?;
    let output = cluster.corner().sh(&format!(
        "unshare --mount sh -c 'umount -R /sys/fs/cgroup; {} server'",
        k3s_binary()?.display()
    ))?;
    let error = output.failed()?;
    ensure!(error.contains("cgroup"), "{error}");
    Ok(())
}

#[test]
fn help_says_what_each_command_takes() -> Result<()> {
    for (words, expected) in [
        (vec!["help"], "usage: k3s COMMAND"),
        (vec!["help", "help"], "usage: k3s COMMAND"),
        (vec!["help", "server"], "--datastore-endpoint"),
        (vec!["server", "help"], "--datastore-endpoint"),
        (vec!["server", "--help"], "--datastore-endpoint"),
        (vec!["help", "datastore"], "k3s datastore migrate --from"),
        (vec!["help", "killall"], "usage: k3s killall"),
        (vec!["help", "plugin"], "k3s plugin"),
        (vec!["help", "kubectl"], "get"),
    ] {
        let output = std::process::Command::new(k3s_binary()?)
            .args(&words)
            .output()?;
        let shown = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && shown.contains(expected),
            "{words:?}: {output:?}"
        );
    }
    let unknown = std::process::Command::new(k3s_binary()?)
        .args(["help", "frobnicate"])
        .output()?;
    ensure!(!unknown.status.success(), "{unknown:?}");
    Ok(())
}
