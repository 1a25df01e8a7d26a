//! The whole path: from `kubectl apply` to a served HTTP request, with stock kubectl.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_e2e::{
    SHELL, SOON, WEB_1, WEB_2, answered_by, cluster, condition, exec, fixture, shell, wait_for_pod,
    web,
};
use k3s_harness::Cluster;

#[test]
fn a_cluster_looks_as_on_k3s() -> Result<()> {
    let cluster = cluster()?;
    let nodes = cluster.kubectl(&["get", "nodes"])?.ok()?;
    ensure!(
        nodes.lines().next().is_some_and(|l| l
            .split_whitespace()
            .eq(["NAME", "STATUS", "ROLES", "AGE", "VERSION"])),
        "{nodes}"
    );
    ensure!(
        nodes.contains("Ready") && nodes.contains("control-plane") && nodes.contains("v1.36."),
        "{nodes}"
    );
    let all = cluster.kubectl(&["get", "all", "-A"])?.ok()?;
    ensure!(
        all.contains("service/kubernetes")
            && all.contains("service/kube-dns")
            && all.contains("10.43.0.10"),
        "{all}"
    );
    let explained = cluster
        .kubectl(&["explain", "deployment.spec.strategy"])?
        .ok()?;
    ensure!(
        explained.contains("DeploymentStrategy") && explained.contains("rollingUpdate"),
        "{explained}"
    );
    let resources = cluster.kubectl(&["api-resources"])?.ok()?;
    ensure!(
        resources.contains("deploy") && resources.contains("apps/v1"),
        "{resources}"
    );
    ensure!(
        cluster
            .kubectl(&["auth", "can-i", "create", "pods"])?
            .ok()?
            .trim()
            == "yes"
    );
    let nobody = cluster.kubectl(&["auth", "can-i", "create", "pods", "--as", "nobody"])?;
    ensure!(nobody.stdout.trim() == "no", "{nobody:?}");
    let version = cluster.kubectl(&["version"])?.ok()?;
    ensure!(version.contains("Server Version: v1.36."), "{version}");
    Ok(())
}

#[test]
fn a_cron_job_makes_jobs_by_its_schedule_until_it_is_suspended() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&fixture!("cron-job", IMAGE = SHELL))?;
    cluster.wait_for("a job of the schedule completed", SOON, || {
        let cron = cluster.get(&["cronjob", "often"])?;
        let completed = cron["status"]["lastSuccessfulTime"].as_str();
        ensure!(completed.is_some(), "{}", cron["status"]);
        Ok(())
    })?;
    let jobs = cluster.get(&["jobs"])?;
    let owner = &jobs["items"][0]["metadata"]["ownerReferences"][0];
    ensure!(
        owner["kind"] == "CronJob" && owner["name"] == "often",
        "{owner}"
    );
    cluster
        .kubectl(&[
            "patch",
            "cronjob",
            "often",
            "-p",
            r#"{"spec":{"suspend":true}}"#,
        ])?
        .ok()?;
    cluster.wait_for("no job runs any more", SOON, || {
        let cron = cluster.get(&["cronjob", "often"])?;
        ensure!(cron["status"]["active"].is_null(), "{}", cron["status"]);
        Ok(())
    })
}

#[test]
fn a_deployment_is_rolled_out_scaled_updated_and_undone() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&web("web", 3, WEB_1))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    cluster.apply(&shell("client"))?;
    wait_for_pod(&cluster, "client")?;
    let answers = answered_by(
        &cluster,
        "client",
        "http://web.default.svc.cluster.local",
        3,
    )?;
    ensure!(
        answers.iter().all(|a| a.starts_with("one web-")),
        "{answers:?}"
    );

    let applied = cluster.apply(&web("web", 3, WEB_1))?;
    ensure!(
        applied.contains("deployment.apps/web unchanged"),
        "{applied}"
    );
    cluster
        .kubectl(&["scale", "deployment/web", "--replicas=2"])?
        .ok()?;
    answered_by(&cluster, "client", "http://web", 2)?;
    cluster
        .kubectl(&["set", "image", "deployment/web", &format!("web={WEB_2}")])?
        .ok()?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    let answers = answered_by(&cluster, "client", "http://web", 2)?;
    ensure!(answers.iter().all(|a| a.starts_with("two ")), "{answers:?}");
    cluster
        .kubectl(&["rollout", "undo", "deployment/web"])?
        .ok()?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    let answers = answered_by(&cluster, "client", "http://web", 2)?;
    ensure!(answers.iter().all(|a| a.starts_with("one ")), "{answers:?}");

    let logs = cluster
        .kubectl(&["logs", "deployment/web", "--tail=5"])?
        .ok()?;
    ensure!(logs.contains("GET / HTTP/1.1"), "{logs}");
    cluster
        .kubectl(&["delete", "deployment", "web", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("the deployment's pods are gone", SOON, || {
        let pods = cluster.get(&["pods", "-l", "app=web"])?;
        ensure!(
            pods["items"].as_array().is_some_and(Vec::is_empty),
            "{} left",
            pods["items"].as_array().map_or(0, Vec::len)
        );
        Ok(())
    })
}

#[test]
fn exec_and_logs_behave() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&shell("sh"))?;
    wait_for_pod(&cluster, "sh")?;
    ensure!(exec(&cluster, "sh", "hostname")?.trim() == "sh");
    let failed = cluster.kubectl(&["exec", "sh", "--", "sh", "-c", "exit 7"])?;
    ensure!(failed.code == Some(7), "{failed:?}");
    let echoed = cluster
        .kubectl_with(
            &["exec", "-i", "sh", "--", "cat"],
            Some("over standard input"),
        )?
        .ok()?;
    ensure!(echoed == "over standard input", "{echoed:?}");
    // `script` gives kubectl a terminal, so that `-it` is real.
    let mut terminal = cluster.corner().command("script");
    let kubectl = k3s_harness::kubectl_binary()?;
    let line = format!(
        "KUBECONFIG=/etc/rancher/k3s/k3s.yaml {} exec -it sh -- sh -c 'tty; stty size'",
        kubectl.display()
    );
    let output = terminal.args(["-qec", &line, "/dev/null"]).output()?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        shown.contains("/dev/pts/") || shown.contains("/dev/console"),
        "{shown}"
    );

    cluster.apply(&fixture!("talker", IMAGE = SHELL))?;
    wait_for_pod(&cluster, "talker")?;
    let mut follow = cluster.kubectl_command();
    let output = follow
        .args(["logs", "-f", "talker"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut child = output?;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(
        child
            .stdout
            .take()
            .ok_or_else(|| anyhow::anyhow!("no output"))?,
    ));
    let seen: Vec<String> = lines.by_ref().take(8).collect::<Result<_, _>>()?;
    child.kill()?;
    child.wait()?;
    ensure!(
        seen.first().is_some_and(|l| l == "line 1") && seen.len() == 8,
        "{seen:?}"
    );
    Ok(())
}

#[test]
fn services_reach_ready_pods_only_and_node_ports_answer() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&shell("client"))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    wait_for_pod(&cluster, "client")?;
    answered_by(&cluster, "client", "http://web", 2)?;
    cluster
        .kubectl(&[
            "patch",
            "service",
            "web",
            "-p",
            r#"{"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30080}]}}"#,
        ])?
        .ok()?;
    let fetch = |address: &str| {
        cluster
            .corner()
            .sh(&format!("wget -q -T 2 -O - http://{address}:30080"))
    };
    cluster.wait_for("the node port answers on the host", SOON, || {
        fetch("192.0.2.10")?.ok()
    })?;
    cluster.wait_for("the node port answers on loopback", SOON, || {
        fetch("127.0.0.1")?.ok()
    })?;

    // Headless, SRV and ExternalName, as pods ask for them.
    cluster.apply(&fixture!("services-headless-and-external"))?;
    cluster.wait_for("headless names resolve to pods", SOON, || {
        let found = exec(
            &cluster,
            "client",
            "nslookup headless.default.svc.cluster.local",
        )?;
        ensure!(found.matches("10.42.").count() >= 2, "{found}");
        Ok(())
    })?;
    cluster.wait_for("external names are followed", SOON, || {
        exec(
            &cluster,
            "client",
            "/usr/bin/wget -q -T 2 -O - http://outside",
        )
    })?;

    // A pod whose probe fails is taken out: its worker is stopped.
    let pods = cluster.get(&["pods", "-l", "app=web"])?;
    let first = pods["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    cluster
        .kubectl(&["exec", &first, "--", "sh", "-c", "kill -STOP -1"])?
        .ok()?;
    cluster.wait_for("the pod that does not answer is not Ready", SOON, || {
        let pod = cluster.get(&["pod", &first])?;
        if condition(&pod, "Ready") {
            bail!("still Ready")
        } else {
            Ok(())
        }
    })?;
    let answers = answered_by(&cluster, "client", "http://web", 1)?;
    ensure!(!answers.iter().any(|a| a.contains(&first)), "{answers:?}");
    Ok(())
}

#[test]
fn crashing_containers_jobs_and_config_maps() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&fixture!("crash-job-and-settings", IMAGE = SHELL))?;
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=complete",
            "job/job",
            "--timeout=60s",
        ])?
        .ok()?;
    ensure!(cluster.kubectl(&["logs", "job/job"])?.ok()?.trim() == "done");
    cluster.wait_for("the crashing pod backs off", SOON, || {
        let pods = cluster.kubectl(&["get", "pod", "crash"])?.ok()?;
        ensure!(pods.contains("CrashLoopBackOff"), "{pods}");
        Ok(())
    })?;
    ensure!(
        cluster
            .kubectl(&["logs", "--previous", "crash"])?
            .ok()?
            .trim()
            == "about to fail"
    );
    wait_for_pod(&cluster, "reader")?;
    ensure!(exec(&cluster, "reader", "cat /settings/color")? == "green");
    cluster
        .kubectl(&[
            "patch",
            "configmap",
            "settings",
            "-p",
            r#"{"data":{"color":"blue"}}"#,
        ])?
        .ok()?;
    cluster.wait_for("the mounted file changes", SOON, || {
        let color = exec(&cluster, "reader", "cat /settings/color")?;
        ensure!(color == "blue", "{color}");
        Ok(())
    })
}

#[test]
fn deleting_a_namespace_removes_everything_in_it() -> Result<()> {
    let cluster = cluster()?;
    cluster.kubectl(&["create", "namespace", "doomed"])?.ok()?;
    cluster
        .kubectl_with(
            &["apply", "-n", "doomed", "-f", "-"],
            Some(&web("web", 2, WEB_1)),
        )?
        .ok()?;
    cluster
        .kubectl(&[
            "-n",
            "doomed",
            "rollout",
            "status",
            "deployment/web",
            "--timeout=60s",
        ])?
        .ok()?;
    cluster
        .kubectl(&["delete", "namespace", "doomed", "--timeout=60s"])?
        .ok()?;
    for kind in [
        "pods",
        "deployments",
        "replicasets",
        "services",
        "configmaps",
        "serviceaccounts",
        "endpointslices",
    ] {
        let left = cluster.get(&[kind, "-n", "doomed"])?;
        ensure!(
            left["items"].as_array().is_some_and(Vec::is_empty),
            "{left}"
        );
    }
    Ok(())
}

#[test]
fn nothing_is_left_of_a_pod() -> Result<()> {
    let cluster = cluster()?;
    // The first pod also starts the zygote that shims are forked from; it stays.
    cluster.apply(&shell("first"))?;
    wait_for_pod(&cluster, "first")?;
    cluster
        .kubectl(&["delete", "pod", "first", "--timeout=60s"])?
        .ok()?;
    let before = leftovers(&cluster)?;
    cluster.apply(&web("web", 3, WEB_1))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    cluster
        .kubectl(&["delete", "deployment/web", "service/web", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for(
        "mounts, namespaces, links, cgroups and shims are as before",
        Duration::from_secs(30),
        || {
            let now = leftovers(&cluster)?;
            ensure!(now == before, "before:\n{before}\nnow:\n{now}");
            Ok(())
        },
    )
}

/// What pods add to a machine, counted.
fn leftovers(cluster: &Cluster) -> Result<String> {
    let line = "grep -c . /proc/mounts; ls /run/netns /var/run/netns 2>/dev/null | wc -l; ip -o link | wc -l; \
                ps -eo args | grep -c '[k]3s-shim'; ls /var/lib/kubelet/pods 2>/dev/null | wc -l; ls /var/log/pods 2>/dev/null | wc -l";
    let counts = cluster.corner().sh(line)?.ok()?;
    let cgroups = cluster
        .corner()
        .cgroups_below()
        .into_iter()
        .filter(|p| p.to_string_lossy().contains("pod"))
        .count();
    Ok(format!("{counts}pod cgroups {cgroups}"))
}
