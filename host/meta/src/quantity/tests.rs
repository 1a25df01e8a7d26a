//! Table-driven: text in, canonical text or error out.

use super::*;

#[test]
fn canonical_forms() {
    let table = [
        ("0", "0"),
        ("0Gi", "0"),
        ("-0", "0"),
        ("0.0", "0"),
        ("1", "1"),
        ("1000", "1k"),
        ("1000m", "1"),
        ("100m", "100m"),
        ("0.5", "500m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1.5", "1500m"),
        ("1024Ki", "1Mi"),
        ("1Mi", "1Mi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1023Ki", "1023Ki"),
        ("1025", "1025"),
        ("100Mi", "100Mi"),
        ("128M", "128M"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1000e-3", "1"),
        ("1.1e3", "1100"),
        ("12e6", "12e6"),
        ("1e-3", "1e-3"),
        ("0.1Ki", "102400m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1.00001n", "2n"),
        ("1u", "1u"),
        ("3E", "3E"),
        ("1Ei", "1Ei"),
        ("10Ei", "9223372036854775807"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("-100m", "-100m"),
        ("-1024Ki", "-1Mi"),
        ("+5", "5"),
        ("1E", "1E"),
        ("1000000k", "1G"),
        ("1.000", "1"),
        ("0001", "1"),
        ("1.25Ki", "1280"),
        ("1000Ki", "1000Ki"),
        (
            "1.00000000000000000000000000000000000001Ki",
            "1024000000001n",
        ),
        ("123456789012345678901234567890.5Ei", "9223372036854775807"),
    ];
    for (text, want) in table {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), want, "{text}");
    }
}

#[test]
fn refuses() {
    use QuantityError::{Format, Numeric, Suffix};
    let table = [
        ("", Format),
        ("-", Format),
        ("a", Format),
        ("1.1.M", Numeric),
        ("1x", Format),
        ("1 Gi", Format),
        ("1iM", Suffix),
        ("1kk", Suffix),
        ("1e", Suffix),
        ("1e3e4", Format),
        (".", Numeric),
        ("10GB", Format),
        ("1mi", Suffix),
        ("1K", Suffix),
    ];
    for (text, want) in table {
        assert_eq!(Quantity::parse(text).unwrap_err(), want, "{text}");
    }
}

#[test]
fn sums_without_end_stay_in_bounds() {
    let most = Quantity::parse("1e99").unwrap();
    let least = Quantity::ZERO - most - most - most;
    assert!(least.is_negative() && !(-least).is_negative());
    for sum in [most + most + most, least, -least] {
        assert!(!sum.to_string().is_empty());
    }
    let binary = Quantity::parse("1Ki").unwrap();
    assert!(!(binary - most - most - most).to_string().is_empty());
}

#[test]
fn numbers() {
    let q = |t| Quantity::parse(t).unwrap();
    assert_eq!(q("1500m").milli(), 1500);
    assert_eq!(q("1500m").value(), 2);
    assert_eq!(q("-1500m").value(), -2);
    assert_eq!(q("1Gi").value(), 1 << 30);
    assert_eq!(q("1u").milli(), 1);
    assert!(q("1Gi") > q("1G"));
    assert_eq!(q("1"), q("1000m"));
    assert_eq!((q("1Gi") + q("512Mi")).to_string(), "1536Mi");
    assert_eq!((q("1") - q("250m")).to_string(), "750m");
    assert_eq!((Quantity::ZERO + q("1Gi")).to_string(), "1Gi");
    assert_eq!(
        [q("1Gi"), q("1Gi")]
            .into_iter()
            .sum::<Quantity>()
            .to_string(),
        "2Gi"
    );
    assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
    assert_eq!(
        Quantity::from_json(&serde_json::json!(2))
            .unwrap()
            .to_string(),
        "2"
    );
}

/// Upstream keeps what it takes for canonical; the rest is written in canonical form.
#[test]
fn texts_are_kept_or_written_anew_as_upstream_does() {
    for (text, want) in [
        ("0", "0"),
        ("00", "0"),
        ("01", "01"),
        ("5.", "5."),
        ("1E3", "1E3"),
        ("1e30", "1e30"),
        ("9223372036854775808", "9223372036854775808"),
        ("10Ei", "9223372036854775807"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1.500", "1.500"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100u", "100u"),
        ("1024Mi", "1Gi"),
        ("8Mi", "8Mi"),
        ("01Mi", "01Mi"),
        ("1.5Gi", "1536Mi"),
        ("-01", "-01"),
    ] {
        assert_eq!(Quantity::written(text).unwrap(), want, "{text}");
    }
    assert!(Quantity::written("1 core").is_err());
    for (text, want, changed) in [
        ("1n", "1m", true),
        ("1.0000000001", "1001m", true),
        ("1500u", "2m", true),
        ("5", "5", false),
    ] {
        let (rounded, is_changed) = Quantity::parse(text).unwrap().rounded_to_milli();
        assert_eq!(
            (rounded.to_string().as_str(), is_changed),
            (want, changed),
            "{text}"
        );
    }
}
