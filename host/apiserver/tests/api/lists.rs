//! Lists: pages, selectors, versions, shapes.

use std::io::Read;

use serde_json::{Value, json};

use crate::harness::{Api, MAPS, PODS, admin, map, pod, request, start};

async fn names(api: &Api, query: &str) -> Vec<String> {
    let list = api.ok("GET", &format!("{MAPS}{query}"), Value::Null).await;
    items(&list)
}

fn items(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_show_one_state() {
    let api = start().await;
    for name in ["a", "b", "c", "d", "e"] {
        api.ok("POST", MAPS, map(name, "1")).await;
    }
    let first = api.ok("GET", &format!("{MAPS}?limit=2"), Value::Null).await;
    assert_eq!(
        (items(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["a".to_owned(), "b".to_owned()], &json!(3))
    );
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    api.ok("DELETE", &format!("{MAPS}/c"), Value::Null).await;
    api.ok("POST", MAPS, map("bb", "1")).await;
    let second = api
        .ok(
            "GET",
            &format!("{MAPS}?limit=2&continue={token}"),
            Value::Null,
        )
        .await;
    assert_eq!(items(&second), ["c", "d"]);
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let token = second["metadata"]["continue"].as_str().unwrap().to_owned();
    let third = api
        .ok(
            "GET",
            &format!("{MAPS}?limit=2&continue={token}"),
            Value::Null,
        )
        .await;
    assert_eq!(items(&third), ["e"]);
    assert!(third["metadata"].get("continue").is_none());
    // Compaction ends the list, and the refusal carries a token that goes on from the newest state.
    api.store.compact(api.store.revision(), 0).await.unwrap();
    let expired = api.get(&format!("{MAPS}?limit=2&continue={token}")).await;
    assert_eq!(
        (expired.code.as_u16(), &expired.body["reason"]),
        (410, &json!("Expired"))
    );
    let fresh = expired.body["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&api, &format!("?continue={fresh}")).await, ["e"]);
    assert_eq!(
        api.get(&format!("{MAPS}?continue=nonsense")).await.code,
        400
    );
}

#[tokio::test]
async fn selectors_choose() {
    let api = start().await;
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = map(name, "1");
        object["metadata"]["labels"] = json!({"tier": tier});
        api.ok("POST", MAPS, object).await;
    }
    assert_eq!(names(&api, "?labelSelector=tier%3Dx").await, ["a", "c"]);
    assert_eq!(
        names(&api, "?labelSelector=tier%20notin%20(x)").await,
        ["b"]
    );
    assert_eq!(names(&api, "?fieldSelector=metadata.name%3Db").await, ["b"]);
    assert_eq!(
        names(&api, "?fieldSelector=metadata.name!%3Db").await,
        ["a", "c"]
    );
    let paged = api
        .ok(
            "GET",
            &format!("{MAPS}?labelSelector=tier%3Dx&limit=1"),
            Value::Null,
        )
        .await;
    assert_eq!(items(&paged), ["a"]);
    let token = paged["metadata"]["continue"].as_str().unwrap();
    assert_eq!(
        names(
            &api,
            &format!("?labelSelector=tier%3Dx&limit=1&continue={token}")
        )
        .await,
        ["c"]
    );
    assert_eq!(
        api.get(&format!("{MAPS}?labelSelector=a%3D%3D%3D"))
            .await
            .code,
        400
    );
    api.get(&format!("{MAPS}?fieldSelector=data.k%3D1"))
        .await
        .refused(400, "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    api.get(&format!("{PODS}?fieldSelector=spec.foo%3D1"))
        .await
        .refused(400, "field label not supported: spec.foo");
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    api.get(&format!("{jobs}?fieldSelector=spec.foo%3D1"))
        .await
        .refused(400, "field label \"spec.foo\" not supported for Job");
}

#[tokio::test]
async fn versions_and_their_match() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let then = api.store.revision().0;
    api.ok("POST", MAPS, map("b", "1")).await;
    let now = api.store.revision().0;
    assert_eq!(
        names(
            &api,
            &format!("?resourceVersion={then}&resourceVersionMatch=Exact")
        )
        .await,
        ["a"]
    );
    assert_eq!(
        names(
            &api,
            &format!("?resourceVersion={then}&resourceVersionMatch=NotOlderThan")
        )
        .await,
        ["a", "b"]
    );
    assert_eq!(
        names(&api, &format!("?resourceVersion={then}")).await,
        ["a", "b"]
    );
    assert_eq!(
        names(&api, &format!("?resourceVersion={then}&limit=5")).await,
        ["a"]
    );
    assert_eq!(names(&api, "?resourceVersion=0").await, ["a", "b"]);
    let list = api.ok("GET", MAPS, Value::Null).await;
    assert_eq!(list["metadata"]["resourceVersion"], now.to_string());
    let future = api.get(&format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!(
        (
            future.code.as_u16(),
            &future.body["details"]["causes"][0]["reason"]
        ),
        (504, &json!("ResourceVersionTooLarge"))
    );
    let unfit = api.get(&format!("{MAPS}?resourceVersionMatch=Exact")).await;
    assert!(
        unfit
            .message()
            .contains("resourceVersionMatch is forbidden unless resourceVersion is provided")
    );
    assert_eq!(
        api.get(&format!(
            "{MAPS}?resourceVersion=0&resourceVersionMatch=Exact"
        ))
        .await
        .code,
        422
    );
}

/// One mistake of several is named: upstream reads numbers, then selectors, then holds the options against each
/// other, then looks at the fields of the kind and last at the version.
#[tokio::test]
async fn mistakes_in_list_options_are_named_in_order() {
    let api = start().await;
    let head = "ListOptions.meta.k8s.io \"\" is invalid: ";
    let table = [
        (
            "timeoutSeconds=x&limit=x&labelSelector=,",
            400,
            "strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "limit=99999999999999999999&labelSelector=,",
            400,
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
        (
            "limit=",
            400,
            "strconv.ParseInt: parsing \"\": invalid syntax",
        ),
        (
            "labelSelector=,&fieldSelector=x&sendInitialEvents=true",
            400,
            "found ',', expected: !, identifier, or 'end of string'",
        ),
        (
            "fieldSelector=x&resourceVersionMatch=Exact",
            400,
            "invalid selector: 'x'; can't understand 'x'",
        ),
        (
            "fieldSelector=x%3Dy&sendInitialEvents=True",
            422,
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            "fieldSelector=x%3Dy&resourceVersion=x",
            400,
            "\"x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            "resourceVersionMatch=Other",
            422,
            "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, resourceVersionMatch: Unsupported value: \"Other\": supported values: \"Exact\", \"NotOlderThan\", \"\"]",
        ),
        (
            "resourceVersion=-1",
            400,
            "invalid resource version: resourceVersion: Invalid value: \"-1\": strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (
            "continue=x&resourceVersion=1",
            400,
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 0",
        ),
        (
            "watch=1&resourceVersion=x",
            422,
            "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "watch=1&resourceVersionMatch=Exact",
            422,
            "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided, resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"]",
        ),
    ];
    for (query, code, message) in table {
        let head = match code {
            422 if query.ends_with("resourceVersion=x") => "configmaps \"\" is invalid: ",
            422 => head,
            _ => "",
        };
        let answer = api.get(&format!("{MAPS}?{query}")).await;
        answer.refused(code, &format!("{head}{message}"));
    }
}

#[tokio::test]
async fn shapes_and_forms() {
    let api = start().await;
    api.ok("POST", PODS, pod("a")).await;
    let table = api
        .accept(
            PODS,
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        )
        .await
        .body;
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    let titles: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(titles[..5], ["Name", "Ready", "Status", "Restarts", "Age"]);
    assert_eq!(
        (
            &table["rows"][0]["cells"][0],
            &table["rows"][0]["object"]["kind"]
        ),
        (&json!("a"), &json!("PartialObjectMetadata"))
    );
    let full = api
        .accept(
            &format!("{PODS}?includeObject=Object"),
            "application/json;as=Table;v=v1;g=meta.k8s.io",
        )
        .await
        .body;
    assert_eq!(full["rows"][0]["object"]["kind"], "Pod");
    let other = format!("{PODS}?includeObject=Other");
    api.accept(&other, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .await
        .refused(400, "Unable to convert to Table as requested: includeObject: Invalid value: \"Other\": must be 'Metadata', 'Object', 'None', or empty");
    assert_eq!(api.get(&other).await.code, 200);
    let one = api
        .accept(
            &format!("{PODS}/a"),
            "application/json;as=Table;v=v1;g=meta.k8s.io",
        )
        .await
        .body;
    assert_eq!(one["rows"].as_array().unwrap().len(), 1);
    let partial = api
        .accept(
            PODS,
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        )
        .await
        .body;
    assert_eq!(
        (&partial["kind"], partial["items"][0].get("spec")),
        (&json!("PartialObjectMetadataList"), None)
    );
    let yaml = api.accept(&format!("{PODS}/a"), "application/yaml").await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    assert!(yaml.text.contains("kind: Pod"), "{}", yaml.text);
    assert_eq!(
        api.accept(PODS, "application/vnd.kubernetes.protobuf")
            .await
            .code,
        406
    );
    assert_eq!(api.accept(PODS, "application/*").await.code, 406);
    let watch = format!("{PODS}?watch=1");
    api.accept(&watch, "application/yaml").await.refused(
        406,
        "only the following media types are accepted: application/json;stream=watch",
    );
    assert_eq!(
        api.accept(PODS, "application/vnd.kubernetes.protobuf,application/json")
            .await
            .code,
        200
    );
    let pretty = api.get(&format!("{PODS}/a?pretty=true")).await;
    assert!(pretty.text.contains("\n  \"kind\""));
}

#[tokio::test]
async fn long_lists_are_whole_plain_and_compressed() {
    let api = start().await;
    for n in 0..300 {
        api.ok("POST", MAPS, map(&format!("m{n:03}"), &"x".repeat(400)))
            .await;
    }
    let plain = api.ok("GET", MAPS, Value::Null).await;
    assert_eq!(items(&plain).len(), 300);
    let mut asked = request("GET", MAPS, &Value::Null);
    asked
        .headers_mut()
        .insert("accept-encoding", "gzip".parse().unwrap());
    let response = api.raw(asked, Some(admin())).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = k3s_serve::body::read(response.into_body(), usize::MAX)
        .await
        .unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), plain);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let api = start().await;
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = map(name, "1");
        object["metadata"]["labels"] = json!({"tier": tier});
        api.ok("POST", MAPS, object).await;
    }
    let gone = api
        .ok(
            "DELETE",
            &format!("{MAPS}?labelSelector=tier%3Dx"),
            Value::Null,
        )
        .await;
    assert_eq!(
        (&gone["kind"], items(&gone)),
        (
            &json!("ConfigMapList"),
            vec!["a".to_owned(), "c".to_owned()]
        )
    );
    assert_eq!(names(&api, "").await, ["b"]);
}
