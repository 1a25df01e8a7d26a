//! The built-in kubectl does the everyday things with no other binary.

use anyhow::{Result, ensure};
use k3s_e2e::{SOON, WEB_1, WEB_2, cluster, web};
use k3s_harness::Cluster;

/// Both print the same; more than one try, since ages go on between the two.
fn same(cluster: &Cluster, args: &[&str]) -> Result<()> {
    cluster.wait_for("both kubectls say the same", SOON, || {
        let (own, stock) = (
            cluster.k3s(&[&["kubectl"], args].concat())?,
            cluster.kubectl(args)?,
        );
        let equal =
            own.stdout == stock.stdout && own.stderr == stock.stderr && own.code == stock.code;
        ensure!(equal, "{args:?}\nown: {own:?}\nstock: {stock:?}");
        Ok(())
    })
}

#[test]
fn everyday_commands() -> Result<()> {
    let cluster = cluster()?;
    let kubectl = |args: &[&str]| cluster.k3s(&[&["kubectl"], args].concat());
    let manifest = cluster.corner().dir().join("web.yaml");
    std::fs::write(&manifest, web("web", 2, WEB_1))?;
    let file = manifest.display().to_string();
    let applied = kubectl(&["apply", "-f", &file])?.ok()?;
    ensure!(
        applied == "deployment.apps/web created\nservice/web created\n",
        "{applied}"
    );
    let again = kubectl(&["apply", "-f", &file])?.ok()?;
    ensure!(
        again == "deployment.apps/web unchanged\nservice/web unchanged\n",
        "{again}"
    );
    std::fs::write(&manifest, web("web", 1, WEB_1))?;
    let changed = kubectl(&["apply", "-f", &file])?.ok()?;
    ensure!(
        changed == "deployment.apps/web configured\nservice/web unchanged\n",
        "{changed}"
    );
    cluster.wait_for("one pod is left", SOON, || {
        let stock = cluster.kubectl(&["get", "pods", "-o", "name"])?.ok()?;
        ensure!(stock.lines().count() == 1, "{stock}");
        Ok(())
    })?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    // What it prints is what stock kubectl prints.
    for args in [
        &["get", "deployments"][..],
        &["get", "svc", "-A", "-o", "wide"],
        &["get", "deployment/web", "-o", "name"],
        &["get", "service", "web", "-o", "json"],
        &["get", "pods", "-l", "app=nothing"],
        &["api-resources", "--api-group=apps"],
    ] {
        same(&cluster, args)?;
    }
    let logs = kubectl(&["logs", "deployment/web", "--tail=1"])?.ok()?;
    ensure!(logs.contains("GET /"), "{logs}");
    let hostname = kubectl(&["exec", "deployment/web", "--", "hostname"])?.ok()?;
    ensure!(hostname.starts_with("web-"), "{hostname}");
    let failed = kubectl(&["exec", "deployment/web", "--", "sh", "-c", "exit 5"])?;
    ensure!(failed.code == Some(5), "{failed:?}");
    let missing = kubectl(&["get", "pod", "nobody"])?.failed()?;
    ensure!(
        missing == "Error from server (NotFound): pods \"nobody\" not found\n",
        "{missing}"
    );
    let deleted = kubectl(&["delete", "-f", &file])?.ok()?;
    ensure!(
        deleted.contains("deployment.apps \"web\" deleted from default namespace"),
        "{deleted}"
    );
    ensure!(
        kubectl(&["version"])?
            .ok()?
            .contains("Server Version: v1.36.")
    );
    let later = kubectl(&["describe", "pod", "x"])?;
    ensure!(
        later.code == Some(1) && later.stderr.contains("describe"),
        "{later:?}"
    );
    Ok(())
}

#[test]
fn rollouts_and_changes_of_single_fields() -> Result<()> {
    let cluster = cluster()?;
    let kubectl = |args: &[&str]| cluster.k3s(&[&["kubectl"], args].concat());
    let prints = |args: &[&str], expected: &str| -> Result<()> {
        let printed = kubectl(args)?.ok()?;
        ensure!(printed == expected, "{args:?}: {printed}");
        Ok(())
    };
    let image = format!("--image={WEB_1}");
    prints(
        &["create", "deployment", "web", &image, "--replicas=2"],
        "deployment.apps/web created\n",
    )?;
    let followed = kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?.ok()?;
    ensure!(
        followed.ends_with("deployment \"web\" successfully rolled out\n"),
        "{followed}"
    );
    prints(
        &["expose", "deployment", "web", "--port=80"],
        "service/web exposed\n",
    )?;
    prints(
        &["scale", "deployment/web", "--replicas=3"],
        "deployment.apps/web scaled\n",
    )?;
    let container = cluster.get(&["deployment", "web"])?["spec"]["template"]["spec"]["containers"]
        [0]["name"]
        .clone();
    let change = format!("{}={WEB_2}", container.as_str().unwrap_or_default());
    prints(
        &["set", "image", "deployment/web", &change],
        "deployment.apps/web image updated\n",
    )?;
    kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"])?.ok()?;
    prints(
        &["rollout", "undo", "deployment/web"],
        "deployment.apps/web rolled back\n",
    )?;
    kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"])?.ok()?;
    let live = cluster.get(&["deployment", "web"])?;
    ensure!(
        live["spec"]["template"]["spec"]["containers"][0]["image"] == WEB_1,
        "{live}"
    );
    ensure!(live["spec"]["replicas"] == 3, "{live}");
    prints(
        &["rollout", "restart", "deployment/web"],
        "deployment.apps/web restarted\n",
    )?;
    prints(
        &["label", "deployment", "web", "a=b"],
        "deployment.apps/web labeled\n",
    )?;
    let refused = kubectl(&["label", "deployment", "web", "a=c"])?.failed()?;
    ensure!(
        refused == "error: 'a' already has a value (b), and --overwrite is false\n",
        "{refused}"
    );
    prints(
        &["patch", "deployment", "web", "-p", "spec: {replicas: 1}"],
        "deployment.apps/web patched\n",
    )?;
    prints(
        &["wait", "--for=condition=Available", "deployment/web"],
        "deployment.apps/web condition met\n",
    )?;
    kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"])?.ok()?;
    for args in [
        &["explain", "deployment.spec.strategy"][..],
        &["explain", "pods.spec.containers.ports"],
        &["explain", "configmap", "--recursive"],
        &["rollout", "history", "deployment/web"],
        &["rollout", "status", "deployment/web"],
        &["auth", "can-i", "create", "pods"],
        &["auth", "can-i", "list", "secrets", "--as=nobody"],
        &["auth", "can-i", "--list", "--as=nobody"],
        &["auth", "whoami"],
    ] {
        same(&cluster, args)?;
    }
    Ok(())
}
