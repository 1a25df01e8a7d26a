//! The ingress battery through the real binary: what a user with stock kubectl and curl gets.

#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k3s_e2e::{SOON, WEB_1, WEB_2, cluster, fixture, web};
use k3s_harness::{Cluster, ClusterOptions, Output};

/// The node's address in a corner.
const NODE: &str = "192.0.2.10";

/// `curl` inside the corner, with `shop.example.com` at the node's address.
fn curl(cluster: &Cluster, args: &str) -> Result<Output> {
    let line = format!(
        "curl -sS -m 5 --resolve shop.example.com:443:{NODE} --resolve shop.example.com:80:{NODE} {args}"
    );
    cluster.corner().sh(&line)
}

fn ingress(name: &str, annotations: &str, paths: &[(&str, &str, &str)]) -> String {
    let path = |(path, kind, service): &(&str, &str, &str)| {
        fixture!(
            "ingress-path",
            PATH = path,
            TYPE = kind,
            SERVICE = service,
            PORT = 80
        )
    };
    let paths: String = paths.iter().map(path).collect();
    fixture!("ingress-with-tls", NAME = name, ANNOTATIONS = annotations) + &paths
}

/// A certificate for the shop as files in the corner's folder, and a Secret of it.
fn certificate(cluster: &Cluster) -> Result<String> {
    let made = rcgen::generate_simple_self_signed(vec!["shop.example.com".to_owned()])?;
    let dir = cluster.corner().dir();
    let (cert, key) = (dir.join("shop.crt"), dir.join("shop.key"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    cluster
        .kubectl(&[
            "create",
            "secret",
            "tls",
            "shop-cert",
            "--cert",
            &cert,
            "--key",
            &key,
        ])?
        .ok()?;
    Ok(cert)
}

fn has_event(cluster: &Cluster, reason: &str, part: &str) -> Result<()> {
    let events = cluster.get(&["events"])?;
    let is = |e: &serde_json::Value| {
        e["reason"] == reason && e["message"].as_str().is_some_and(|m| m.contains(part))
    };
    ensure!(
        events["items"]
            .as_array()
            .context("no list")?
            .iter()
            .any(is),
        "no {reason} event about {part}"
    );
    Ok(())
}

#[test]
fn an_ingress_with_tls_serves_its_pods() -> Result<()> {
    let cluster = cluster()?;
    cluster.wait_for("the default class is there", SOON, || {
        let class = cluster.get(&["ingressclass", "traefik"])?;
        ensure!(
            class["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"]
                == "true",
            "{class}"
        );
        Ok(())
    })?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&web("canary", 1, WEB_2))?;
    // The Secret is missing at first: that is an Event, and the rest is served.
    cluster.apply(&ingress("shop", "", &[("/", "Prefix", "web")]))?;
    cluster.wait_for("an event about the Secret", SOON, || {
        has_event(&cluster, "SecretNotFound", "default/shop-cert")
    })?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    cluster
        .kubectl(&["rollout", "status", "deployment/canary", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("the status shows the node's address", SOON, || {
        let shown = cluster.kubectl(&["get", "ingress", "shop"])?.ok()?;
        let row: Vec<&str> = shown
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        ensure!(
            row.starts_with(&["shop", "traefik", "shop.example.com", NODE, "80,", "443"]),
            "{shown}"
        );
        Ok(())
    })?;
    cluster.wait_for("port 80 answers", SOON, || {
        let answer = curl(&cluster, "-f http://shop.example.com/")?.ok()?;
        ensure!(answer.starts_with("one web-"), "{answer}");
        Ok(())
    })?;
    let pem = certificate(&cluster)?;
    let mut seen = std::collections::BTreeSet::new();
    cluster.wait_for(
        "port 443 answers with the Secret's certificate, from both pods",
        SOON,
        || {
            let answer = curl(
                &cluster,
                &format!("-f --cacert {pem} https://shop.example.com/"),
            )?
            .ok()?;
            seen.insert(answer);
            ensure!(seen.len() == 2, "{seen:?}");
            Ok(())
        },
    )?;
    let other = curl(
        &cluster,
        &format!("-o /dev/null -w '%{{http_code}}' http://{NODE}/"),
    )?
    .ok()?;
    ensure!(other == "404", "{other}");
    let http2 = curl(
        &cluster,
        &format!("-o /dev/null -w '%{{http_version}}' --cacert {pem} https://shop.example.com/"),
    )?;
    ensure!(http2.ok()? == "2");

    // Paths move to the canary and back, while requests never stop.
    let count = cluster.corner().dir().join("codes");
    let line = format!(
        "while [ ! -e {0}.stop ]; do curl -s -m 5 -o /dev/null -w '%{{http_code}}\\n' -H 'Host: shop.example.com' http://{NODE}/move >> {0}; done",
        count.display()
    );
    let mut load = cluster.corner().command("sh").args(["-c", &line]).spawn()?;
    let moved = (0..6).try_for_each(|turn| {
        let (service, version) = if turn % 2 == 0 {
            ("canary", "two")
        } else {
            ("web", "one")
        };
        cluster.apply(&ingress(
            "shop",
            "",
            &[("/", "Prefix", "web"), ("/move", "Exact", service)],
        ))?;
        cluster.wait_for("the path moved", SOON, || {
            let answer = curl(&cluster, "http://shop.example.com/move")?.ok()?;
            ensure!(answer.starts_with(version), "{answer}");
            Ok(())
        })
    });
    std::fs::write(count.with_extension("stop"), "")?;
    load.wait()?;
    moved?;
    let codes = std::fs::read_to_string(&count)?;
    ensure!(
        codes.lines().count() > 20 && codes.lines().all(|code| code == "200"),
        "{codes}"
    );

    // An annotation that no component understands is not served, and an event says so.
    let broken = ingress(
        "broken",
        "traefik.ingress.kubernetes.io/router.tls: maybe",
        &[("/broken", "Exact", "canary")],
    );
    cluster.apply(&broken)?;
    cluster.wait_for("an event about the annotation", SOON, || {
        has_event(&cluster, "InvalidAnnotation", "router.tls")
    })?;
    let answer = curl(&cluster, "-f http://shop.example.com/broken")?.ok()?;
    ensure!(answer.starts_with("one "), "{answer}");
    Ok(())
}

/// The names that a list has, of those that contain a word.
fn named(cluster: &Cluster, kind: &str, word: &str) -> Result<Vec<String>> {
    let names = cluster
        .kubectl(&[
            "get",
            kind,
            "-A",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ])?
        .ok()?;
    Ok(names
        .split_whitespace()
        .filter(|name| name.contains(word))
        .map(str::to_owned)
        .collect())
}

const FOLDER: &str = "/var/lib/rancher/k3s/server/manifests";

#[test]
fn without_the_batteries_the_ports_are_free_and_nothing_is_left() -> Result<()> {
    let mut cluster = Cluster::start_with(ClusterOptions::default())?;
    let listening = |cluster: &Cluster| {
        cluster
            .corner()
            .sh("ss -Hltn '( sport = :80 or sport = :443 )' | wc -l")
    };
    cluster.wait_for("both ports are open", SOON, || {
        let count = listening(&cluster)?.ok()?;
        ensure!(count.trim() == "2", "{count}");
        Ok(())
    })?;
    cluster.wait_for("class and kinds are there, as of an AddOn", SOON, || {
        ensure!(named(&cluster, "ingressclasses", "traefik")?.len() == 1);
        ensure!(named(&cluster, "customresourcedefinitions", "traefik.io")?.len() == 10);
        ensure!(named(&cluster, "addons.k3s.cattle.io", "traefik")?.len() == 1);
        Ok(())
    })?;
    ensure!(named(&cluster, "clusterroles,clusterrolebindings", "traefik")?.len() == 2);
    cluster.apply(&ingress("shop", "", &[("/", "Prefix", "web")]))?;
    cluster.apply(&fixture!("balancer-of-web"))?;
    // A status that others write stays, though it shows the same address.
    cluster.apply(&fixture!("ingress-of-another-class"))?;
    let status = format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{NODE}"}}]}}}}}}"#);
    cluster
        .kubectl(&[
            "patch",
            "ingress",
            "theirs",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ])?
        .ok()?;
    let shown = |cluster: &Cluster, object: &str| {
        cluster
            .kubectl(&[
                "get",
                object,
                "-o",
                "jsonpath={.status.loadBalancer.ingress[*].ip}",
            ])?
            .ok()
    };
    cluster.wait_for("both show the node's address", SOON, || {
        ensure!(shown(&cluster, "ingress/shop")? == NODE && shown(&cluster, "service/lb")? == NODE);
        Ok(())
    })?;

    cluster.stop_server(Duration::from_secs(20))?;
    cluster.restart_with(&["--disable", "traefik,servicelb"])?;
    cluster.wait_for_node()?;
    cluster.wait_for("nothing of them is left", SOON, || {
        for kind in [
            "ingressclasses",
            "customresourcedefinitions",
            "addons.k3s.cattle.io",
            "clusterroles",
            "clusterrolebindings",
        ] {
            let left = named(&cluster, kind, "traefik")?;
            ensure!(left.is_empty(), "{kind}: {left:?}");
        }
        for object in ["ingress/shop", "service/lb"] {
            let shown = shown(&cluster, object)?;
            ensure!(shown.is_empty(), "{object} shows {shown}");
        }
        let service = cluster.get(&["service", "lb"])?;
        ensure!(service["metadata"]["finalizers"].is_null(), "{service}");
        cluster
            .corner()
            .sh(&format!("test ! -e {FOLDER}/traefik.yaml"))?
            .ok()?;
        let rules = cluster.corner().sh("nft list ruleset")?.ok()?;
        ensure!(!rules.contains(&format!("{NODE} . tcp . 8080")), "{rules}");
        Ok(())
    })?;
    ensure!(
        shown(&cluster, "ingress/theirs")? == NODE,
        "the status of another controller was emptied"
    );
    let count = listening(&cluster)?.ok()?;
    ensure!(count.trim() == "0", "{count}");
    let plugins = cluster.kubectl(&["get", "plugins"])?.ok()?;
    ensure!(
        !plugins.contains("ingress") && !plugins.contains("load-balancer"),
        "{plugins}"
    );
    cluster
        .kubectl(&["delete", "service/lb", "ingress/shop", "--timeout=30s"])?
        .ok()?;

    // And back: everything is there again.
    cluster.stop_server(Duration::from_secs(20))?;
    cluster.restart_with(&[])?;
    cluster.wait_for_node()?;
    cluster.wait_for("class and kinds are there again", SOON, || {
        ensure!(named(&cluster, "ingressclasses", "traefik")?.len() == 1);
        ensure!(named(&cluster, "customresourcedefinitions", "traefik.io")?.len() == 10);
        Ok(())
    })
}

#[test]
fn a_port_in_use_is_said_and_costs_nothing_else() -> Result<()> {
    let mut cluster = Cluster::start_with(ClusterOptions::default())?;
    cluster.stop_server(Duration::from_secs(20))?;
    let config = cluster.corner().dir().join("theirs.conf");
    std::fs::write(
        &config,
        "daemon off; pid /tmp/k3s/nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path /tmp/k3s/b; \
         proxy_temp_path /tmp/k3s/p; fastcgi_temp_path /tmp/k3s/f; uwsgi_temp_path /tmp/k3s/u; scgi_temp_path /tmp/k3s/s; \
         server { listen 80; return 200 theirs; } }\n",
    )?;
    let mut other = cluster
        .corner()
        .command("/usr/sbin/nginx")
        .arg("-c")
        .arg(&config)
        .spawn()?;
    cluster.wait_for("the other server answers", SOON, || {
        curl(&cluster, "-f http://shop.example.com/")?.ok()
    })?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for_node()?;
    cluster.wait_for("an event about the port", SOON, || {
        has_event(&cluster, "PortUnavailable", "0.0.0.0:80")
    })?;
    let secure = curl(
        &cluster,
        "-k -o /dev/null -w '%{http_code}' https://shop.example.com/",
    )?
    .ok()?;
    ensure!(secure == "404", "{secure}");
    cluster
        .corner()
        .sh("kill $(cat /tmp/k3s/nginx.pid)")?
        .ok()?;
    other.wait()?;
    cluster.wait_for("the port is taken when it is free", SOON, || {
        let code = curl(
            &cluster,
            "-o /dev/null -w '%{http_code}' http://shop.example.com/",
        )?
        .ok()?;
        ensure!(code == "404", "{code}");
        Ok(())
    })
}

#[test]
fn traefiks_own_kinds_route_too() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&web("web", 1, WEB_1))?;
    cluster.apply(&web("canary", 1, WEB_2))?;
    cluster.wait_for("the kinds are served", SOON, || {
        cluster
            .kubectl(&[
                "get",
                "ingressroutes.traefik.io,middlewares.traefik.io,tlsoptions.traefik.io",
            ])?
            .ok()
    })?;
    // test:test, from Traefik's documentation.
    cluster.apply(&fixture!("traefik-routes"))?;
    let mut seen = std::collections::BTreeSet::new();
    cluster.wait_for("both services answer", SOON, || {
        let answer = curl(&cluster, "-f http://shop.example.com/api/x")?.ok()?;
        seen.extend(answer.split_whitespace().next().map(str::to_owned));
        ensure!(seen.len() == 2, "{seen:?}");
        Ok(())
    })?;
    let code = |args: &str| {
        curl(
            &cluster,
            &format!("-o /dev/null -w '%{{http_code}}' {args} http://shop.example.com/admin"),
        )?
        .ok()
    };
    ensure!(code("")? == "401" && code("-u test:no")? == "401" && code("-u test:test")? == "200");
    // An unknown middleware closes the routes that rely on it, and an event says so.
    cluster.apply(&fixture!("traefik-digest-auth"))?;
    cluster.wait_for("the route is closed", SOON, || {
        let code = code("-u test:test")?;
        ensure!(code == "404", "{code}");
        Ok(())
    })?;
    cluster.wait_for("an event says why", SOON, || {
        has_event(&cluster, "InvalidRoute", "digestAuth")
    })
}
