//! The Restricted standard: what hardening asks for (`pod-security-admission/policy/check_*_restricted.go`).

use k3s_meta::tree;
use serde_json::Value;

use super::Violation;
use super::subject::{Subject, containers, name, plural, quoted, setters};

pub(super) const SECCOMP: &str = "seccompProfile";

const VOLUMES: [&str; 7] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
];
const ALSO_VOLUMES: [&str; 2] = ["secret", "image"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    // Windows has none of what these are about.
    let linux = tree::text(subject.spec, "os.name") != "windows";
    if linux {
        escalation(subject, found);
        capabilities(subject, found);
    }
    volumes(subject, found);
    run_as_non_root(subject, found);
    run_as_user(subject, found);
    if linux {
        seccomp(subject, found);
    }
}

fn volumes(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let kind = |volume: &Value| {
        let fields = volume.as_object()?.keys();
        let kind = fields.map(String::as_str).find(|field| *field != "name")?;
        (!VOLUMES.contains(&kind) && !ALSO_VOLUMES.contains(&kind)).then(|| kind.to_owned())
    };
    let bad: Vec<_> = subject
        .volumes()
        .iter()
        .filter(|v| kind(v).is_some())
        .collect();
    if bad.is_empty() {
        return;
    }
    let names: Vec<_> = bad.iter().map(|v| name(v)).collect();
    let mut kinds: Vec<_> = bad.iter().filter_map(|v| kind(v)).collect();
    kinds.sort();
    kinds.dedup();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let text = format!(
        "{} {} {verb} restricted volume {} {}",
        plural("volume", names.len()),
        quoted(&names),
        plural("type", kinds.len()),
        quoted(&kinds)
    );
    found.push(("restricted volume types", text));
}

fn run_as_user(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let root = |holder: &Value| {
        tree::get(holder, "securityContext.runAsUser").and_then(Value::as_i64) == Some(0)
    };
    let (pod, names) = (root(subject.spec), subject.named(root));
    if pod || !names.is_empty() {
        found.push((
            "runAsUser=0",
            format!("{} must not set runAsUser=0", setters(pod, &names, "and")),
        ));
    }
}

fn run_as_non_root(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let set =
        |holder: &Value| tree::get(holder, "securityContext.runAsNonRoot").and_then(Value::as_bool);
    let pod = set(subject.spec);
    let explicit = subject.named(|c| set(c) == Some(false));
    let implicit = subject.named(|c| set(c).is_none());
    if pod == Some(false) || !explicit.is_empty() {
        let text = format!(
            "{} must not set securityContext.runAsNonRoot=false",
            setters(pod == Some(false), &explicit, "and")
        );
        // A pod that says false is no excuse for containers that say true.
        if !explicit.is_empty() || !implicit.is_empty() {
            found.push(("runAsNonRoot != true", text));
        }
    } else if pod.is_none() && !implicit.is_empty() {
        let text = format!(
            "pod or {} must set securityContext.runAsNonRoot=true",
            containers(&implicit)
        );
        found.push(("runAsNonRoot != true", text));
    }
}

fn escalation(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let allowed = subject.named(|c| {
        tree::get(c, "securityContext.allowPrivilegeEscalation").and_then(Value::as_bool)
            != Some(false)
    });
    if !allowed.is_empty() {
        let text = format!(
            "{} must set securityContext.allowPrivilegeEscalation=false",
            containers(&allowed)
        );
        found.push(("allowPrivilegeEscalation != false", text));
    }
}

fn capabilities(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let list = |c: &Value, which: &str| -> Vec<String> {
        let all = tree::list(c, &format!("securityContext.capabilities.{which}"));
        all.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let keeps = subject.named(|c| !list(c, "drop").iter().any(|capability| capability == "ALL"));
    let added = |c: &Value| -> Vec<String> {
        list(c, "add")
            .into_iter()
            .filter(|capability| capability != "NET_BIND_SERVICE")
            .collect()
    };
    let adds = subject.named(|c| !added(c).is_empty());
    let mut details = Vec::new();
    if !keeps.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            containers(&keeps)
        ));
    }
    if !adds.is_empty() {
        let mut all: Vec<String> = subject.containers().flat_map(added).collect();
        all.sort();
        all.dedup();
        let text = format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&adds),
            quoted(&all)
        );
        details.push(text);
    }
    if !details.is_empty() {
        found.push(("unrestricted capabilities", details.join("; ")));
    }
}

fn seccomp(subject: &Subject<'_>, found: &mut Vec<Violation>) {
    let kind =
        |holder: &Value| tree::text(holder, "securityContext.seccompProfile.type").to_owned();
    let is_fine = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let pod = kind(subject.spec);
    let explicit = subject.named(|c| !kind(c).is_empty() && !is_fine(&kind(c)));
    let implicit = subject.named(|c| kind(c).is_empty());
    let pod_is_bad = !pod.is_empty() && !is_fine(&pod);
    if pod_is_bad || !explicit.is_empty() {
        let who = setters(pod_is_bad, &explicit, "and");
        let text =
            format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\"");
        found.push((SECCOMP, text));
    } else if pod.is_empty() && !implicit.is_empty() {
        let who = format!("pod or {}", containers(&implicit));
        let text = format!(
            "{who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
        );
        found.push((SECCOMP, text));
    }
}
