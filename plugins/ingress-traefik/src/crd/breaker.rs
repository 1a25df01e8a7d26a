//! The circuit breaker's expressions: `NetworkErrorRatio() > 0.30 || LatencyAtQuantileMS(50.0) > 100`.

use k3s_plugin_sdk::Sentence;

use crate::wit::{BreakerCondition, BreakerMetric, BreakerTerm, Comparison};

/// Reads an expression of conditions joined by `&&` and `||`, without parentheses. The error is for its
/// author.
pub(crate) fn parse(text: &str) -> Result<Vec<BreakerTerm>, Sentence> {
    let mut out = Vec::new();
    let alternatives: Vec<&str> = text.split("||").collect();
    for alternative in &alternatives {
        let conditions: Vec<&str> = alternative.split("&&").collect();
        for condition in &conditions {
            out.push(BreakerTerm::Condition(self::condition(condition.trim())?));
        }
        push_count(&mut out, conditions.len(), BreakerTerm::All);
    }
    push_count(&mut out, alternatives.len(), BreakerTerm::Any);
    Ok(out)
}

fn push_count(out: &mut Vec<BreakerTerm>, count: usize, term: fn(u32) -> BreakerTerm) {
    if count > 1 {
        out.push(term(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

fn condition(text: &str) -> Result<BreakerCondition, Sentence> {
    let bad = || format!("expression {text:?} is not supported");
    let (name, rest) = text.split_once('(').ok_or_else(bad)?;
    let (arguments, rest) = rest.split_once(')').ok_or_else(bad)?;
    let (metric, count) = match name.trim() {
        "NetworkErrorRatio" => (BreakerMetric::NetworkErrorRatio, 0),
        "ResponseCodeRatio" => (BreakerMetric::ResponseCodeRatio, 4),
        "LatencyAtQuantileMS" => (BreakerMetric::LatencyAtQuantileMs, 1),
        _ => return Err(bad().into()),
    };
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| bad());
    let arguments: Vec<f64> = arguments
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .map(number)
        .collect::<Result<_, _>>()?;
    if arguments.len() != count {
        return Err(bad().into());
    }
    let rest = rest.trim();
    let comparisons = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = comparisons
        .iter()
        .find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, *comparison)));
    let (value, comparison) = found.ok_or_else(bad)?;
    Ok(BreakerCondition {
        metric,
        arguments,
        comparison,
        value: number(value)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_postfix() {
        let got = parse(
            "ResponseCodeRatio(500, 600, 0, 600) > 0.25 || NetworkErrorRatio() > 0.1 && LatencyAtQuantileMS(50.0) >= 100",
        );
        let got = got.unwrap();
        assert!(matches!(
            got[..],
            [
                BreakerTerm::Condition(_),
                BreakerTerm::Condition(_),
                BreakerTerm::Condition(_),
                BreakerTerm::All(2),
                BreakerTerm::Any(2)
            ]
        ));
        for bad in [
            "",
            "NetworkErrorRatio()",
            "Foo() > 1",
            "LatencyAtQuantileMS() > 1",
            "(NetworkErrorRatio() > 1)",
        ] {
            assert!(
                parse(bad)
                    .unwrap_err()
                    .to_string()
                    .contains("not supported"),
                "{bad}"
            );
        }
    }
}
