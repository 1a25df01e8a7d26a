//! Endpoint slices, leases, runtime classes and priority classes.

use serde_json::{Value, json};

use crate::{of_new, of_update};

#[test]
fn endpoint_slices() {
    const SLICE: &str = "discovery.k8s.io/EndpointSlice";
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["1.2.3.4"], "zone": "a b"}], "ports": [{"port": 0}]}),
            vec![],
        ),
        (
            json!({"addressType": "IPv4", "endpoints": [{"addresses": [" ", "::1", "127.0.0.1"]}, {"addresses": []}]}),
            vec![
                "endpoints[0].addresses[0]: Invalid value: \" \": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                "endpoints[0].addresses: Invalid value: \"::1\": must be an IPv4 address",
                "endpoints[0].addresses[1]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "endpoints[0].addresses[2]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "endpoints[1].addresses: Required value: must contain at least 1 address",
            ],
        ),
        (
            json!({"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1", "fd00:0::1", "::ffff:1.2.3.4", "1.2.3.4"]}]}),
            vec![
                "endpoints[0].addresses[1]: Invalid value: \"fd00:0::1\": must be in canonical form (\"fd00::1\")",
                "endpoints[0].addresses[2]: Invalid value: \"::ffff:1.2.3.4\": must not be an IPv4-mapped IPv6 address",
                "endpoints[0].addresses: Invalid value: \"1.2.3.4\": must be an IPv6 address",
            ],
        ),
        (
            json!({"addressType": "FQDN", "endpoints": [{"addresses": ["a.example.com.", "80", ""]}]}),
            vec![
                "endpoints[0].addresses[1]: Invalid value: \"80\": should be a domain with at least two segments separated by dots",
                "endpoints[0].addresses[2]: Required value",
            ],
        ),
        (
            json!({"addressType": "FQDN", "ports": [{"name": "a"}, {"name": "a", "protocol": ""}],
                "endpoints": [{"addresses": ["a.b"], "hints": {"forZones": [{"name": "z"}, {"name": "z"}]}}]}),
            vec![
                "ports[1].name: Duplicate value: \"a\"",
                "ports[1].protocol: Unsupported value: \"\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
                "endpoints[0].hints.forZones[1].name: Duplicate value: \"z\"",
            ],
        ),
        (
            json!({"addressType": ""}),
            vec!["addressType: Required value"],
        ),
    ];
    for (slice, expected) in cases {
        assert_eq!(of_new(SLICE, slice.clone(), true), expected, "{slice}");
    }
    let stored = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}]});
    assert_eq!(
        of_update(SLICE, stored.clone(), stored.clone(), true),
        [""; 0]
    );
    assert_eq!(
        of_update(SLICE, stored, json!({"addressType": "IPv6"}), true),
        ["addressType: Invalid value: \"IPv6\": field is immutable"]
    );
}

#[test]
fn leases() {
    const LEASE: &str = "coordination.k8s.io/Lease";
    for (spec, expected) in [
        (
            json!({"holderIdentity": "", "strategy": "OldestEmulationVersion", "preferredHolder": "a"}),
            vec![],
        ),
        (
            json!({"preferredHolder": "a", "leaseDurationSeconds": 0, "leaseTransitions": -1}),
            vec![
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
                "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined",
            ],
        ),
        (
            json!({"strategy": "x"}),
            vec![
                "spec.strategy.strategy: Unsupported value: \"x\": supported values: \"OldestEmulationVersion\"",
            ],
        ),
        (
            json!({"strategy": "/x"}),
            vec!["spec.strategy.strategy: Invalid value: \"/x\": prefix part must be non-empty"],
        ),
    ] {
        let stored = json!({"spec": {"strategy": "OldestEmulationVersion"}});
        assert_eq!(
            of_update(LEASE, stored, json!({ "spec": spec }), true),
            expected
        );
    }
    // A new lease keeps neither: the elections that use them are off.
    let unused = json!({"spec": {"strategy": "x", "preferredHolder": "a"}});
    assert_eq!(of_new(LEASE, unused, true), [""; 0]);
}

#[test]
fn runtime_classes() {
    const CLASS: &str = "node.k8s.io/RuntimeClass";
    for (class, expected) in [
        (
            json!({"metadata": {"finalizers": ["plain"]}, "handler": "a", "overhead": {"podFixed": {"cpu": "1"}}}),
            vec![],
        ),
        (json!({"handler": ""}), vec!["handler: Required value"]),
        (
            json!({"handler": "a", "overhead": {"podFixed": {"cpu": "-1"}}}),
            vec!["overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"],
        ),
        (
            json!({"handler": "a", "scheduling": {"tolerations": [{"key": "a"}, {"key": "a", "effect": ""}]}}),
            vec!["scheduling.tolerations[1]: Duplicate value: {\"effect\":\"\",\"key\":\"a\"}"],
        ),
    ] {
        assert_eq!(of_new(CLASS, class, false), expected);
    }
    assert_eq!(
        of_update(CLASS, json!({"handler": "a"}), json!({}), false),
        [
            "handler: Required value",
            "handler: Invalid value: \"\": field is immutable",
        ]
    );
}

#[test]
fn priority_classes() {
    const CLASS: &str = "scheduling.k8s.io/PriorityClass";
    for (policy, expected) in [
        ("Never", vec![]),
        ("", vec!["preemptionPolicy: Required value"]),
        (
            "x",
            vec![
                "preemptionPolicy: Unsupported value: \"x\": supported values: \"PreemptLowerPriority\", \"Never\"",
            ],
        ),
    ] {
        assert_eq!(
            of_new(
                CLASS,
                json!({"value": 1, "preemptionPolicy": policy}),
                false
            ),
            expected
        );
    }
}

/// A proxy or a controller would be led to what listens on its own machine only.
#[test]
fn no_endpoint_is_this_machine_in_any_form() {
    const FORMS: [&str; 5] = [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:169.254.169.254",
    ];
    for address in FORMS {
        let family = if address.contains(':') {
            "IPv6"
        } else {
            "IPv4"
        };
        let slice = json!({"addressType": family, "endpoints": [{"addresses": [address]}]});
        let endpoints = json!({"subsets": [{"addresses": [{"ip": address}]}]});
        for (kind, object) in [
            ("discovery.k8s.io/EndpointSlice", slice),
            ("/Endpoints", endpoints),
        ] {
            let errors = of_new(kind, object, true);
            assert!(!errors.is_empty(), "{kind} {address}");
        }
    }
    let named = json!({"addressType": "FQDN", "endpoints": [{"addresses": ["localhost"]}]});
    assert!(!of_new("discovery.k8s.io/EndpointSlice", named, true).is_empty());
}
