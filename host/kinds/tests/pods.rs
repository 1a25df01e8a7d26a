//! Pods as a client meets them: defaults, wording of mistakes, and the row of `kubectl get pods`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use jiff::Timestamp;
use k3s_kinds::{Context, Strategy};
use k3s_meta::UserInfo;
use serde_json::{Value, json};

fn strategy() -> Strategy {
    Strategy::built_in("", "Pod")
}

/// A pod with the given spec, defaulted and prepared as on create.
fn pod(spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec});
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
    };
    strategy().default(&mut pod);
    strategy().prepare_create(&mut pod, &context);
    pod
}

fn with_container(container: Value) -> Value {
    let mut base = json!({"name": "c", "image": "nginx:1"});
    base.as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    json!({"containers": [base]})
}

#[test]
fn a_bare_pod_gets_its_defaults() {
    let expected = json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "containers": [{
                "name": "c", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    });
    assert_eq!(
        pod(json!({"containers": [{"name": "c", "image": "nginx"}]})),
        expected
    );
}

#[test]
fn defaults_are_idempotent_and_reach_everything() {
    let spec = json!({
        "hostNetwork": true,
        "schedulingGroup": {"podGroupName": "none acts on it"},
        "serviceAccountName": "robot",
        "containers": [{
            "name": "c", "image": "registry:5000/a/b:v1",
            "ports": [{"containerPort": 80}],
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
            "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
            "livenessProbe": {"httpGet": {"port": 80}},
            "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
        }],
        "volumes": [{"name": "a"}, {"name": "b", "configMap": {"name": "m"}}, {"name": "d", "hostPath": {"path": "/x"}},
            {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
    });
    let first = pod(spec);
    let mut second = first.clone();
    strategy().default(&mut second);
    assert_eq!(second, first);
    let container = &first["spec"]["containers"][0];
    assert_eq!(
        container["ports"][0],
        json!({"containerPort": 80, "hostPort": 80, "protocol": "TCP"})
    );
    let amounts = json!({"cpu": "500m", "memory": "1Gi"});
    assert_eq!(
        container["resources"],
        json!({"limits": amounts, "requests": amounts})
    );
    assert_eq!(
        container["livenessProbe"],
        json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
            "successThreshold": 1, "failureThreshold": 3})
    );
    assert_eq!(
        container["lifecycle"]["preStop"]["httpGet"]["scheme"],
        "HTTP"
    );
    assert_eq!(
        container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"],
        "v1"
    );
    assert_eq!(
        container["env"][1]["valueFrom"]["resourceFieldRef"]["divisor"],
        "0"
    );
    assert_eq!(first["spec"]["serviceAccount"], "robot");
    assert_eq!(first["spec"].get("schedulingGroup"), None);
    assert_eq!(first["status"]["qosClass"], "Guaranteed");
    let volumes = &first["spec"]["volumes"];
    assert_eq!(volumes[0], json!({"name": "a", "emptyDir": {}}));
    assert_eq!(volumes[1]["configMap"]["defaultMode"], 420);
    assert_eq!(volumes[2]["hostPath"]["type"], "");
    assert_eq!(
        volumes[3]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"],
        3600
    );
}

#[test]
fn mistakes_are_worded_as_upstream() {
    let cases: Vec<(Value, &str)> = vec![
        (json!({"containers": []}), "spec.containers: Required value"),
        (
            json!({"containers": [{"name": "c"}]}),
            "spec.containers[0].image: Required value",
        ),
        (
            json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}),
            "spec.containers[1].name: Duplicate value: \"c\"",
        ),
        (
            with_container(json!({"ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            with_container(json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"data\"",
        ),
        (
            with_container(
                json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            ),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            with_container(json!({"env": [{"name": "A=", "value": "1"}]})),
            "spec.containers[0].env[0].name: Invalid value: \"A=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
        (
            with_container(
                json!({"livenessProbe": {"periodSeconds": -1, "exec": {"command": ["x"]}}}),
            ),
            "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            with_container(json!({"livenessProbe": {}})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            with_container(json!({"imagePullPolicy": "Sometimes"})),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
        (
            with_container(
                json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}}),
            ),
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
        (
            with_container(json!({"securityContext": {"procMount": "Unmasked"}})),
            "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
        ),
        (
            json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 81}]}]}),
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
        ),
        (
            json!({"restartPolicy": "Maybe", "containers": [{"name": "c", "image": "i"}]}),
            "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            json!({"dnsPolicy": "None", "containers": [{"name": "c", "image": "i"}]}),
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            json!({"containers": [{"name": "c", "image": "i"}], "tolerations": [{"operator": "Equal"}]}),
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ),
        (
            json!({"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]}),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            json!({"containers": [{"name": "c", "image": "i"}],
                "initContainers": [{"name": "i", "image": "i", "readinessProbe": {"exec": {"command": ["x"]}}}]}),
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ),
    ];
    for (spec, message) in cases {
        assert_eq!(
            strategy().validate_create(&pod(spec), true).to_string(),
            message
        );
    }
}

/// A pod with one good container and more of its spec.
fn with_spec(rest: Value) -> Value {
    let mut base = json!({"containers": [{"name": "c", "image": "i"}]});
    base.as_object_mut()
        .unwrap()
        .extend(rest.as_object().unwrap().clone());
    base
}

fn assert_refused(cases: Vec<(Value, &str)>) {
    for (spec, message) in cases {
        let errors = strategy().validate_create(&pod(spec.clone()), true);
        assert_eq!(errors.to_string(), message, "{spec}");
    }
}

#[test]
fn mistakes_in_containers_are_worded_as_upstream() {
    let with_init = |init: Value| json!({"containers": [{"name": "c", "image": "i"}], "initContainers": [init]});
    assert_refused(vec![
        (
            with_container(json!({"image": " i"})),
            "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
        ),
        (
            with_container(json!({"terminationMessagePolicy": "x"})),
            "spec.containers[0].terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", \"FallbackToLogsOnError\"",
        ),
        (
            with_container(
                json!({"readinessProbe": {"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 5}}),
            ),
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
        ),
        (
            with_container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})),
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
        ),
        (
            with_container(
                json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In"}}]}),
            ),
            "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        ),
        (
            with_container(
                json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Stop"}]}),
            ),
            "[spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\", \"RestartAllContainers\", spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified]",
        ),
        (
            with_container(
                json!({"resizePolicy": [{"resourceName": "disk", "restartPolicy": "NotRequired"}]}),
            ),
            "spec.containers[0].resizePolicy: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\"",
        ),
        (
            with_container(json!({"resources": {"claims": [{"name": "gpu"}]}})),
            "spec.containers[0].resources.claims[0]: Not found: \"gpu\": must be one of the names in pod.spec.resourceClaims which is empty",
        ),
        (
            with_container(json!({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}})),
            "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
        ),
        (
            with_container(
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.none"}}}]}),
            ),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.none\": error converting fieldPath: field label not supported: metadata.none",
        ),
        (
            with_container(
                json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]}),
            ),
            "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
        ),
        (
            with_init(
                json!({"name": "i", "image": "i", "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}),
            ),
            "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' for non-sidecar initContainers",
        ),
    ]);
}

#[test]
fn mistakes_in_the_pod_are_worded_as_upstream() {
    assert_refused(vec![
        (
            with_spec(json!({"hostUsers": false, "hostPID": true})),
            "spec.HostPID: Forbidden: when `hostUsers` is false",
        ),
        (
            with_spec(json!({"hostnameOverride": "a", "hostNetwork": true})),
            "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
        ),
        (
            with_spec(json!({"os": {"name": "bsd"}})),
            "spec.os: Unsupported value: \"bsd\": supported values: \"linux\", \"windows\"",
        ),
        (
            with_spec(json!({"os": {"name": "windows"}, "securityContext": {"runAsUser": 1}})),
            "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
        ),
        (
            with_spec(json!({"resourceClaims": [{"name": "a"}]})),
            "spec.resourceClaims[0]: Invalid value: {\"name\":\"a\"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        ),
        (
            with_spec(json!({"schedulingGates": [{"name": "a b"}]})),
            "spec.schedulingGates[0]: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            with_spec(json!({"nodeName": "n", "schedulingGates": [{"name": "a"}]})),
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
        (
            with_spec(json!({"ephemeralContainers": [{"name": "e", "image": "e"}]})),
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
        (
            with_spec(
                json!({"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}),
            ),
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when 'hostNetwork' is true",
        ),
        (
            with_spec(json!({"securityContext": {"seccompProfile": {}}})),
            "spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set",
        ),
        (
            with_spec(
                json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "matchLabelKeys": ["a"]}]}),
            ),
            "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ),
        (
            with_spec(json!({"overhead": {"odd": "1"}})),
            "[spec.overhead.limits[odd]: Invalid value: \"odd\": must be a standard resource type or fully qualified, spec.overhead.limits[odd]: Invalid value: \"odd\": must be a standard resource for containers]",
        ),
        (
            with_spec(json!({"resources": {"limits": {"odd": "1"}}})),
            "spec.resources.limits[odd]: Invalid value: \"odd\": must be a standard resource type or fully qualified",
        ),
        (
            with_spec(json!({"resources": {"requests": {"pods": "1"}}})),
            "spec.resources.requests[pods]: Unsupported value: \"pods\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
        ),
        (
            json!({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}}]}),
            "[spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 2, spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of 1]",
        ),
        (
            with_container(json!({"resources": {"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}})),
            "[spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi, spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi]",
        ),
        (
            with_spec(json!({"runtimeClassName": "a/b", "preemptionPolicy": "x"})),
            "[spec.runtimeClassName: Invalid value: \"a/b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), spec.preemptionPolicy: Unsupported value: \"x\": supported values: \"PreemptLowerPriority\", \"Never\"]",
        ),
        (
            with_spec(json!({"securityContext": {"windowsOptions": {"runAsUserName": ""}}})),
            "spec.securityContext.windowsOptions.runAsUserName: Invalid value: \"\": runAsUserName cannot be an empty string",
        ),
        (
            with_spec(
                json!({"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
            ),
            "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
        ),
        (
            with_spec(json!({"dnsConfig": {"searches": ["_a.example.com", ".", "a..b"]}})),
            "spec.dnsConfig.searches[2]: Invalid value: \"a..b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
        ),
    ]);
}

#[test]
fn label_keys_of_a_term_are_merged_into_its_selector() {
    let mut made = json!({
        "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web", "tier": "front"}},
        "spec": with_spec(json!({
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "z", "labelSelector": {}, "matchLabelKeys": ["app", "none"], "mismatchLabelKeys": ["tier"]},
            ]}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["app"]},
            ],
        })),
    });
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
    };
    strategy().default(&mut made);
    strategy().prepare_create(&mut made, &context);
    let app = json!({"key": "app", "operator": "In", "values": ["web"]});
    let tier = json!({"key": "tier", "operator": "NotIn", "values": ["front"]});
    let spec = &made["spec"];
    let term =
        &spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(
        term["labelSelector"],
        json!({"matchExpressions": [app, tier]})
    );
    let constraint = &spec["topologySpreadConstraints"][0];
    assert_eq!(
        constraint["labelSelector"],
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [app]})
    );
    let errors = strategy().validate_create(&made, true);
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn a_template_may_have_an_image_with_spaces_around() {
    let deployments = Strategy::built_in("apps", "Deployment");
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": " i"}]}});
    let mut deployment = json!({
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    });
    deployments.default(&mut deployment);
    let errors = deployments.validate_create(&deployment, true);
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn a_template_on_the_host_network_needs_no_host_ports() {
    let spec = |port: Value| json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i", "ports": [port]}]});
    let validate = |port: Value| {
        let deployments = Strategy::built_in("apps", "Deployment");
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec(port)});
        let mut deployment = json!({
            "metadata": {"name": "d", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
        });
        deployments.default(&mut deployment);
        deployments.validate_create(&deployment, true).to_string()
    };
    assert_eq!(validate(json!({"containerPort": 80})), "[]");
    assert_eq!(
        validate(json!({"containerPort": 80, "hostPort": 81})),
        "spec.template.spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"
    );
}

#[test]
fn a_full_pod_is_valid() {
    let spec = json!({
        "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/b"}],
            "envFrom": [{"configMapRef": {"name": "m"}}], "readinessProbe": {"tcpSocket": {"port": "web"}},
            "resources": {"requests": {"cpu": "1", "example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}},
            "ports": [{"name": "web", "containerPort": 80}]}],
        "volumes": [{"name": "v"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1,
            "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}}]}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "tolerations": [{"operator": "Exists"}],
    });
    let errors = strategy().validate_create(&pod(spec), true);
    assert!(errors.is_empty(), "{errors}");
}

/// The cells after the name up to the age, of a pod with these statuses.
fn row(spec: Value, status: Value, deleted: bool) -> Vec<String> {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut pod = json!({"metadata": {"name": "p", "creationTimestamp": "2026-01-02T02:59:05Z"}, "spec": spec, "status": status});
    if deleted {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:00Z");
    }
    let cells = strategy().cells(&pod, now);
    assert_eq!(cells.len(), strategy().rules().columns.len());
    cells
        .iter()
        .take(5)
        .map(|cell| cell.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn rows_say_how_a_pod_fares() {
    let one = json!({"containers": [{"name": "c"}]});
    let with_init = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]});
    let running = json!({"name": "c", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let crashing = json!({"name": "c", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-02T03:02:05Z"}}});
    let done = json!({"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let init = json!({"name": "i", "restartCount": 0, "state": {"running": {}}});
    let cases = [
        (
            &one,
            json!({"phase": "Pending"}),
            false,
            ["p", "0/1", "Pending", "0", "5m"],
        ),
        (
            &one,
            json!({"phase": "Running", "containerStatuses": [running]}),
            false,
            ["p", "1/1", "Running", "0", "5m"],
        ),
        (
            &one,
            json!({"phase": "Running", "containerStatuses": [running]}),
            true,
            ["p", "1/1", "Terminating", "0", "5m"],
        ),
        (
            &one,
            json!({"phase": "Running", "containerStatuses": [crashing]}),
            false,
            ["p", "0/1", "CrashLoopBackOff", "3 (2m ago)", "5m"],
        ),
        (
            &one,
            json!({"phase": "Succeeded", "containerStatuses": [done]}),
            false,
            ["p", "0/1", "Completed", "0", "5m"],
        ),
        (
            &with_init,
            json!({"phase": "Pending", "initContainerStatuses": [init]}),
            false,
            ["p", "0/1", "Init:0/1", "0", "5m"],
        ),
        (
            &one,
            json!({"phase": "Failed", "reason": "Evicted"}),
            false,
            ["p", "0/1", "Evicted", "0", "5m"],
        ),
    ];
    for (spec, status, deleted, expected) in cases {
        assert_eq!(row(spec.clone(), status, deleted), expected);
    }
}

#[test]
fn rows_of_finished_pods_carry_a_condition() {
    let completed = |reason: &str, message: &str| json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]);
    for (phase, conditions) in [
        ("Pending", json!([])),
        ("Running", json!([])),
        (
            "Succeeded",
            completed("Succeeded", "The pod has completed successfully."),
        ),
        ("Failed", completed("Failed", "The pod failed.")),
        ("Unknown", json!([])),
    ] {
        let pod = json!({"metadata": {"name": "p"}, "status": {"phase": phase}});
        let found = (strategy().rules().row_conditions)(&pod);
        assert_eq!(Value::from(found), conditions, "{phase}");
    }
}

#[test]
fn a_limit_leaves_an_explicit_request_of_zero() {
    let resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "0"}});
    let made = pod(json!({"containers": [{"name": "c", "image": "i", "resources": resources}]}));
    let requests = &made["spec"]["containers"][0]["resources"]["requests"];
    assert_eq!(*requests, json!({"cpu": "0", "memory": "1Gi"}));
}
