//! The built-in kubectl does the everyday things with no other binary.

use anyhow::{Result, ensure};
use k3s_e2e::{SOON, WEB_1, cluster, web};

#[test]
fn everyday_commands() -> Result<()> {
    let cluster = cluster()?;
    let kubectl = |args: &[&str]| cluster.k3s(&[&["kubectl"], args].concat());
    let manifest = cluster.corner().dir().join("web.yaml");
    std::fs::write(&manifest, web("web", 2, WEB_1))?;
    let file = manifest.display().to_string();
    let applied = kubectl(&["apply", "-f", &file])?.ok()?;
    ensure!(applied == "deployment.apps/web created\nservice/web created\n", "{applied}");
    let again = kubectl(&["apply", "-f", &file])?.ok()?;
    ensure!(again == "deployment.apps/web unchanged\nservice/web unchanged\n", "{again}");
    std::fs::write(&manifest, web("web", 1, WEB_1))?;
    let changed = kubectl(&["apply", "-f", &file])?.ok()?;
    ensure!(changed == "deployment.apps/web configured\nservice/web unchanged\n", "{changed}");
    cluster.wait_for("one pod is left", SOON, || {
        let stock = cluster.kubectl(&["get", "pods", "-o", "name"])?.ok()?;
        ensure!(stock.lines().count() == 1, "{stock}");
        Ok(())
    })?;
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?.ok()?;
    // What it prints is what stock kubectl prints.
    for args in [
        &["get", "deployments"][..],
        &["get", "svc", "-A", "-o", "wide"],
        &["get", "deployment/web", "-o", "name"],
        &["get", "service", "web", "-o", "json"],
        &["get", "pods", "-l", "app=nothing"],
        &["api-resources", "--api-group=apps"],
    ] {
        let (own, stock) = (kubectl(args)?, cluster.kubectl(args)?);
        ensure!(own.stdout == stock.stdout && own.stderr == stock.stderr, "{args:?}\nown: {own:?}\nstock: {stock:?}");
    }
    let logs = kubectl(&["logs", "deployment/web", "--tail=1"])?.ok()?;
    ensure!(logs.contains("GET /"), "{logs}");
    let hostname = kubectl(&["exec", "deployment/web", "--", "hostname"])?.ok()?;
    ensure!(hostname.starts_with("web-"), "{hostname}");
    let failed = kubectl(&["exec", "deployment/web", "--", "sh", "-c", "exit 5"])?;
    ensure!(failed.code == Some(5), "{failed:?}");
    let missing = kubectl(&["get", "pod", "nobody"])?.failed()?;
    ensure!(missing == "Error from server (NotFound): pods \"nobody\" not found\n", "{missing}");
    let deleted = kubectl(&["delete", "-f", &file])?.ok()?;
    ensure!(deleted.contains("deployment.apps \"web\" deleted from default namespace"), "{deleted}");
    ensure!(kubectl(&["version"])?.ok()?.contains("Server Version: v1.36."));
    let later = kubectl(&["describe", "pod", "x"])?;
    ensure!(later.code == Some(1) && later.stderr.contains("describe"), "{later:?}");
    Ok(())
}
