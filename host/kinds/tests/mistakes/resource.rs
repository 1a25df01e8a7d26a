//! Dynamic resource allocation: claims, classes and slices of devices.

use serde_json::{Value, json};

use crate::{of_new, of_status, of_update};

const CLAIM: &str = "resource.k8s.io/ResourceClaim";
const TEMPLATE: &str = "resource.k8s.io/ResourceClaimTemplate";
const CLASS: &str = "resource.k8s.io/DeviceClass";
const SLICE: &str = "resource.k8s.io/ResourceSlice";
const REFERENCE: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";

fn claim(devices: Value) -> Value {
    json!({"spec": {"devices": devices}})
}

fn request(change: Value) -> Value {
    let mut exactly = json!({"deviceClassName": "a"});
    exactly
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({"name": "one", "exactly": exactly})
}

#[test]
fn claims() {
    let path = "spec.devices.requests[0].exactly";
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            json!({"requests": [request(json!({"selectors": [{"cel": {"expression": "device.attributes['a'].b == 1"}}]})), {"name": "two", "firstAvailable": [{"name": "x", "deviceClassName": "a"}]}],
                "constraints": [{"requests": ["one", "two/x"], "matchAttribute": "example.com/numa"}],
                "config": [{"requests": ["two"], "opaque": {"driver": "a", "parameters": {"a": 1}}}]}),
            vec![],
        ),
        (
            json!({"requests": [{"name": "a"}, {"name": "a", "exactly": {"deviceClassName": ""}, "firstAvailable": [{}]}]}),
            vec![
                "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required".into(),
                "spec.devices.requests[1]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set".into(),
                "spec.devices.requests[1]: Duplicate value: \"a\"".into(),
            ],
        ),
        (
            json!({"requests": [request(json!({"deviceClassName": "", "allocationMode": "All", "count": 1, "tolerations": [{"operator": "Exists", "value": "v", "effect": "x"}]}))]}),
            vec![
                format!("{path}.deviceClassName: Required value"),
                format!("{path}.count: Invalid value: 1: must not be specified when allocationMode is 'All'"),
                format!("{path}.tolerations[0].value: Invalid value: \"v\": must be empty for operator `Exists`"),
                format!("{path}.tolerations[0].effect: Unsupported value: \"x\": supported values: \"NoExecute\", \"NoSchedule\", \"None\""),
            ],
        ),
        (
            json!({"requests": [request(json!({"allocationMode": "x", "selectors": [{}, {"cel": {"expression": "'a'"}}, {"cel": {"expression": "other"}}]}))]}),
            vec![
                format!("{path}.selectors[0].cel: Required value"),
                format!("{path}.selectors[1].cel.expression: Invalid value: \"'a'\": must evaluate to bool or the unknown type, not string"),
                format!("{path}.selectors[2].cel.expression: Invalid value: \"other\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other\n | ^"),
                format!("{path}.allocationMode: Unsupported value: \"x\": supported values: \"All\", \"ExactCount\""),
            ],
        ),
        (
            json!({"requests": [request(json!({}))], "constraints": [{"requests": ["one", "one", "B", "a/b/c"], "matchAttribute": "x-"}, {"distinctAttribute": "a.b/"}, {}]}),
            vec![
                format!("spec.devices.constraints[0].requests[2]: Invalid value: \"B\": {LABEL}"),
                format!("spec.devices.constraints[0].requests[2]: Invalid value: \"B\": {REFERENCE}"),
                format!("spec.devices.constraints[0].requests[3]: Invalid value: \"a/b/c\": {REFERENCE}"),
                "spec.devices.constraints[0].requests[1]: Duplicate value: \"one\"".into(),
                format!("spec.devices.constraints[0].matchAttribute: Invalid value: \"x-\": {IDENTIFIER}"),
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"x-\": a fully qualified name must be a domain and a name separated by a slash".into(),
                "spec.devices.constraints[1].distinctAttribute: Invalid value: \"\": the name must not be empty".into(),
                "spec.devices.constraints[2]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set".into(),
            ],
        ),
        (
            json!({"config": [{}, {"opaque": {"driver": "", "parameters": null}}, {"opaque": {"driver": "a", "parameters": {"a": "b".repeat(10 * 1024)}}}]}),
            vec![
                "spec.devices.config[0].opaque: Required value".into(),
                "spec.devices.config[1].opaque.driver: Required value".into(),
                "spec.devices.config[1].opaque.parameters: Required value".into(),
                "spec.devices.config[2].opaque.parameters: Too long: may not be more than 10240 bytes".into(),
            ],
        ),
    ];
    for (devices, expected) in cases {
        assert_eq!(
            of_new(CLAIM, claim(devices.clone()), true),
            expected,
            "{devices}"
        );
        let inner: Vec<String> = expected
            .iter()
            .map(|text| text.replacen("spec.", "spec.spec.", 1))
            .collect();
        let template = json!({"spec": claim(devices)});
        assert_eq!(of_new(TEMPLATE, template, true), inner);
    }
    let many: Vec<Value> = (0..33).map(|_| json!({})).collect();
    assert_eq!(
        of_new(CLAIM, claim(json!({"requests": many})), true),
        ["spec.devices.requests: Too many: 33: must have at most 32 items"]
    );
}

#[test]
fn specs_of_claims_do_not_change() {
    let of = |name: &str| claim(json!({"requests": [{"name": name}]}));
    let errors = of_update(CLAIM, of("a"), of("b"), true);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("field is immutable"), "{errors:?}");
    let template = |name: &str| json!({"spec": {"metadata": {"name": name}, "spec": {}}});
    assert_eq!(
        of_update(TEMPLATE, template("a"), template("a"), true),
        [""; 0]
    );
    assert_eq!(
        of_new(TEMPLATE, template("a"), true),
        ["spec.metadata.name: Forbidden: cannot be set"]
    );
}

#[test]
fn statuses_of_claims() {
    let spec = json!({"devices": {"requests": [request(json!({}))]}});
    let result =
        |request: &str| json!({"request": request, "driver": "d", "pool": "p", "device": "a"});
    let status = |status: Value| json!({"spec": spec, "status": status});
    let allocated = json!({"devices": {"results": [result("one")]}});
    let condition = json!({"type": "Ready", "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let id = |name: &str| json!({"driver": "d", "pool": "p", "device": name});
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            json!({"allocation": allocated, "reservedFor": [{"resource": "pods", "name": "a", "uid": "u"}],
                "devices": [{"driver": "d", "pool": "p", "device": "a", "conditions": [condition], "networkData": {"ips": ["10.0.0.1/8"]}}]}),
            vec![],
        ),
        (
            json!({"reservedFor": [{"resource": "", "name": "a", "uid": "u"}, {"resource": "r", "name": "", "uid": "u"}]}),
            vec![
                "status.reservedFor[0].resource: Required value".into(),
                "status.reservedFor[1].name: Required value".into(),
                "status.reservedFor[1]: Duplicate value: \"u\"".into(),
                "status.reservedFor: Forbidden: may not be specified when `allocated` is not set".into(),
            ],
        ),
        (
            json!({"allocation": {"devices": {"results": [result("two")], "config": [{"source": "x", "opaque": {"driver": "d", "parameters": {}}}]}}}),
            vec![
                format!("status.allocation.devices.results[0].request: Invalid value: \"two\": {REFERENCE}"),
                "status.allocation.devices.config[0].source: Unsupported value: \"x\": supported values: \"FromClaim\", \"FromClass\"".into(),
            ],
        ),
        (
            json!({"allocation": allocated, "devices": [id("b")]}),
            vec!["status.devices[0]: Invalid value: {\"device\":\"b\",\"driver\":\"d\",\"pool\":\"p\",\"shareID\":\"\"}: must be an allocated device in the claim".into()],
        ),
        (
            json!({"allocation": allocated, "devices": [{"driver": "d", "pool": "p", "device": "a", "data": [], "networkData": {"interfaceName": "i".repeat(257), "ips": ["10.0.0.1"]}}]}),
            vec![
                "status.devices[0].data: Invalid value: \"<value omitted>\": must be a valid JSON object".into(),
                "status.devices[0].networkData.interfaceName: Too long: may not be more than 256 bytes".into(),
                "status.devices[0].networkData.ips[0]: Invalid value: \"10.0.0.1\": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)".into(),
            ],
        ),
    ];
    for (new, expected) in cases {
        let errors = of_status(CLAIM, status(json!({})), status(new.clone()), true);
        assert_eq!(errors, expected, "{new}");
    }
}

#[test]
fn classes() {
    let cases: Vec<(Value, Vec<String>)> = vec![
        (json!({"extendedResourceName": "example.com/gpu"}), vec![]),
        (
            json!({"extendedResourceName": "example.com/", "config": [{}], "selectors": [{"cel": {"expression": ""}}]}),
            vec![
                "spec.selectors[0].cel.expression: Invalid value: \"\": compilation failed: ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}".into(),
                "spec.config[0].opaque: Required value".into(),
                "spec.extendedResourceName: Invalid value: \"example.com/\": must be a valid extended resource name".into(),
            ],
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(of_new(CLASS, json!({ "spec": spec }), false), expected);
    }
    let long = json!({"spec": {"config": [{"opaque": {"driver": "a", "parameters": {"a": "b".repeat(10 * 1024)}}}]}});
    assert_eq!(of_update(CLASS, long.clone(), long.clone(), false), [""; 0]);
    assert_ne!(of_update(CLASS, json!({"spec": {}}), long, false), [""; 0]);
}

fn slice(change: Value) -> Value {
    let mut spec = json!({"driver": "a", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}});
    spec.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({ "spec": spec })
}

#[test]
fn slices() {
    let each = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let cases: Vec<(Value, Vec<String>)> = vec![
        (json!({}), vec![]),
        (
            json!({"driver": "", "pool": {"name": "", "resourceSliceCount": 0, "generation": -1}, "allNodes": false, "perDeviceNodeSelection": true}),
            vec![
                "spec.driver: Required value".into(),
                "spec.pool.name: Required value".into(),
                "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero".into(),
                "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"
                    .into(),
                "spec.allNodes: Invalid value: false: must be either unset or set to true".into(),
                format!(
                    "spec: Invalid value: \"{{`nodeName`, `perDeviceNodeSelection`}}\": {each}, but multiple fields are set"
                ),
            ],
        ),
        (
            json!({"nodeName": null}),
            vec![format!("spec: Required value: {each}")],
        ),
        (
            json!({"sharedCounters": [{"name": "", "counters": {}}, {"name": "a", "counters": {"-": {"value": "1"}}}]}),
            vec![
                "spec.sharedCounters[0].name: Required value".into(),
                "spec.sharedCounters[0].counters: Required value".into(),
                format!("spec.sharedCounters[1].counters: Invalid value: \"-\": {LABEL}"),
            ],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(
            of_new(SLICE, slice(change.clone()), false),
            expected,
            "{change}"
        );
    }
    let moved = slice(json!({"driver": "b", "nodeName": "m"}));
    assert_eq!(
        of_update(SLICE, slice(json!({})), moved, false),
        [
            "spec.driver: Invalid value: \"b\": field is immutable",
            "spec.nodeName: Invalid value: \"m\": field is immutable",
        ]
    );
}

#[test]
fn devices() {
    let one = "exactly one value must be specified";
    let policy = |policy: Value| json!({"allowMultipleAllocations": true, "capacity": {"m": {"value": "8Gi", "requestPolicy": policy}}});
    let at = "spec.devices[0].capacity[m].requestPolicy";
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            json!({"attributes": {"numa": {"int": 1}, "a.b/v": {"version": "1.2.3-a"}, "l": {"strings": ["a"]}}, "taints": [{"key": "a", "effect": "NoSchedule"}]}),
            vec![],
        ),
        (
            json!({"attributes": {"-": {"bool": true, "string": "a".repeat(65)}, "n": {}, "v": {"version": "1"}, "w": {"ints": []}}}),
            vec![
                format!("spec.devices[0].attributes: Invalid value: \"-\": {IDENTIFIER}"),
                "spec.devices[0].attributes[-].string: Too long: may not be more than 64 bytes".into(),
                format!("spec.devices[0].attributes[-]: Invalid value: {{\"bool\":true,\"string\":\"{}\"}}: {one}", "a".repeat(65)),
                format!("spec.devices[0].attributes[n]: Invalid value: \"\": {one}"),
                "spec.devices[0].attributes[v].version: Invalid value: \"1\": must be a string compatible with semver.org spec 2.0.0".into(),
                "spec.devices[0].attributes[w].ints: Invalid value: []: must not be empty if specified".into(),
            ],
        ),
        (
            json!({"taints": [{"key": "a", "effect": ""}, {"key": "a", "effect": "x", "value": "-"}], "nodeName": "n"}),
            vec![
                "spec.devices[0].taints[0].effect: Required value".into(),
                "spec.devices[0].taints[1].value: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".into(),
                "spec.devices[0].taints[1].effect: Unsupported value: \"x\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"".into(),
                "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec".into(),
            ],
        ),
        (
            json!({"bindingConditions": ["a", "a"], "consumesCounters": [{"counterSet": "", "counters": {}}]}),
            vec![
                "spec.devices[0].consumesCounters[0].counterSet: Required value".into(),
                "spec.devices[0].consumesCounters[0].counters: Required value".into(),
                "spec.devices[0].bindingConditions[1]: Duplicate value: \"a\"".into(),
                "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions".into(),
            ],
        ),
        (
            json!({"capacity": {"m": {"value": "1", "requestPolicy": {}}}}),
            vec![format!("{at}: Forbidden: allowMultipleAllocations must be true")],
        ),
        (policy(json!({"validRange": {"min": "1Gi", "step": "1Gi", "max": "8Gi"}, "default": "2Gi"})), vec![]),
        (
            policy(json!({"validValues": ["2Gi", "1Gi", "9Gi"], "default": "3Gi"})),
            vec![
                format!("{at}.validValues[1]: Invalid value: \"1Gi\": values must be sorted in ascending order"),
                format!("{at}.validValues[2]: Invalid value: \"9Gi\": option is larger than capacity value: 8Gi"),
                format!("{at}.validValues: Invalid value: \"3Gi\": default value is not valid according to the requestPolicy"),
            ],
        ),
        (
            policy(json!({"validRange": {"min": "2Gi", "max": "9Gi", "step": "4Gi"}, "default": "1Gi"})),
            vec![
                format!("{at}.validRange.min: Invalid value: \"1Gi\": default is less than min: 2Gi"),
                format!("{at}.validRange.max: Invalid value: \"9Gi\": max is larger than capacity value: 8Gi"),
                format!("{at}.validRange.step: Invalid value: \"1Gi\": value is not a multiple of a given step (4Gi) from (2Gi)"),
                format!("{at}.validRange.step: Invalid value: \"9Gi\": value is not a multiple of a given step (4Gi) from (2Gi)"),
            ],
        ),
        (
            json!({"nodeAllocatableResourceMappings": {"cpu": {"capacityKey": "none"}, "a.b/c": {"allocationMultiplier": "0"}}}),
            vec![
                "spec.devices[0].nodeAllocatableResourceMappings[a.b/c]: Invalid value: \"a.b/c\": must be a node allocatable resource name".into(),
                "spec.devices[0].nodeAllocatableResourceMappings[a.b/c].allocationMultiplier: Invalid value: \"0\": must be positive".into(),
                "spec.devices[0].nodeAllocatableResourceMappings[cpu].capacityKey: Not found: \"none\"".into(),
            ],
        ),
    ];
    for (change, expected) in cases {
        let mut device = json!({"name": "d"});
        device
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let slice = slice(json!({"devices": [device]}));
        assert_eq!(of_new(SLICE, slice, false), expected, "{change}");
    }
}
