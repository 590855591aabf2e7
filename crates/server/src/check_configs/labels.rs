//! Labels on the command line: `env=prod,region=eu`.

use std::collections::BTreeMap;

use engine::domain::Labels;

/// Reads labels; an empty text is an agent without any.
pub(super) fn parse(text: &str) -> Result<Labels, String> {
    let mut labels = BTreeMap::new();
    for label in text.split(',').filter(|_| !text.trim().is_empty()) {
        let (key, value) = label.split_once('=').ok_or_else(|| {
            format!("{label:?} is no label: write key=value, and a comma between two")
        })?;
        let (key, value) = (key.trim(), value.trim());
        Labels::check(key, value).map_err(|error| error.to_string())?;
        if labels.insert(key, value).is_some() {
            return Err(format!(
                "the label {key} stands there twice: give --labels once for each agent"
            ));
        }
    }
    if Labels::MAX_COUNT < labels.len() {
        return Err(format!(
            "there are {} labels, allowed are {}",
            labels.len(),
            Labels::MAX_COUNT
        ));
    }
    Ok(labels.into_iter().collect())
}

/// The text form.
pub(super) fn text(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_in_any_order_and_told_in_one() {
        let told = |given| parse(given).map(|labels| text(&labels));
        assert_eq!(told("region=eu, env=prod"), Ok("env=prod,region=eu".into()));
        assert_eq!(told("a=,b=x=y"), Ok("a=,b=x=y".into()));
        assert_eq!(told(""), Ok(String::new()));
        for (given, part) in [
            ("env", "key=value"),
            ("a=1,", "key=value"),
            ("=x", "empty"),
            ("a=1,a=2", "twice"),
        ] {
            let error = told(given).unwrap_err();
            assert!(error.contains(part), "{given}: {error}");
        }
        let many: Vec<_> = (0..129).map(|n| format!("k{n}=v")).collect();
        assert!(
            told(&many.join(","))
                .unwrap_err()
                .contains("allowed are 128")
        );
    }
}
