//! What is wrong with the pair of a TLS secret (Go's `tls.X509KeyPair`), as far as its PEM says it. What is in
//! the certificate, and whether the key belongs to it, is found out by who serves it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::tree;
use serde_json::Value;

const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

pub(super) fn warnings(secret: &Value) -> Vec<String> {
    if tree::text(secret, "type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    let blocks = |key: &str| {
        let text = tree::map(secret, "data").get(key).and_then(Value::as_str);
        let bytes = STANDARD.decode(text.unwrap_or_default());
        pem_types(&String::from_utf8_lossy(&bytes.unwrap_or_default()))
    };
    complaint(&blocks("tls.crt"), &blocks("tls.key"))
        .into_iter()
        .collect()
}

fn complaint(certificate: &[String], key: &[String]) -> Option<String> {
    if !certificate.iter().any(|kind| kind == CERTIFICATE) {
        return Some(match certificate {
            [] => "tls: failed to find any PEM data in certificate input".to_owned(),
            [only] if only.ends_with(PRIVATE_KEY) => "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched".to_owned(),
            others => format!("tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]", others.join(" ")),
        });
    }
    let is_key = |kind: &String| kind == PRIVATE_KEY || kind.ends_with(" PRIVATE KEY");
    if key.iter().any(is_key) {
        return None;
    }
    Some(match key {
        [] => "tls: failed to find any PEM data in key input".to_owned(),
        [only] if only == CERTIFICATE => {
            "tls: found a certificate rather than a key in the PEM for the private key".to_owned()
        }
        others => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            others.join(" ")
        ),
    })
}

/// The types of the blocks of PEM in a text. A block that is not closed, or holds no base64, is none.
fn pem_types(text: &str) -> Vec<String> {
    let mut types = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        rest = after;
        let Some((kind, body)) = after.split_once("-----") else {
            break;
        };
        let Some((body, behind)) = body.split_once(&format!("-----END {kind}-----")) else {
            continue;
        };
        // Headers, such as those of old encrypted keys, stand before an empty line.
        let body = body.split_once("\n\n").map_or(body, |(_, body)| body);
        let plain: String = body.split_whitespace().collect();
        if !kind.contains('\n') && STANDARD.decode(plain).is_ok() {
            types.push(kind.to_owned());
            rest = behind;
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pair_is_warned_of_in_the_words_of_go() {
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nQUJD\n-----END {kind}-----\n");
        let [certificate, key, other] = ["CERTIFICATE", "EC PRIVATE KEY", "B"].map(block);
        let two = block("A").repeat(2);
        let [certificate, key, other, two] = [&certificate, &key, &other, &two].map(String::as_str);
        for (first, second, want) in [
            (
                "x",
                "x",
                "tls: failed to find any PEM data in certificate input",
            ),
            (certificate, key, ""),
            (
                key,
                certificate,
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            ),
            (
                certificate,
                "",
                "tls: failed to find any PEM data in key input",
            ),
            (
                certificate,
                certificate,
                "tls: found a certificate rather than a key in the PEM for the private key",
            ),
            (
                certificate,
                two,
                "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [A A]",
            ),
            (
                other,
                key,
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [B]",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----",
                key,
                "tls: failed to find any PEM data in certificate input",
            ),
        ] {
            let data =
                json!({"tls.crt": STANDARD.encode(first), "tls.key": STANDARD.encode(second)});
            let secret = json!({"type": "kubernetes.io/tls", "data": data});
            assert_eq!(warnings(&secret).join(""), want);
        }
        assert!(warnings(&json!({"type": "Opaque"})).is_empty());
    }
}
