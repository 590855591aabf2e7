//! Why an agent has a line: each value with the revision that set it and those that it overrode.

use std::collections::HashMap;

use domain::ContentHash;
use otelcol::{Content as NodeContent, Document, Node, Path, Step};

use crate::provenance::Overridden;
use crate::renderer::Combined;
use crate::{CONFIG_FILE, MaterialiseError, Source, redacted};

/// A value that an agent gets, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The way to it.
    pub path: Path,
    /// The value as it may be shown, secrets replaced; an empty list is `[]`, an empty map `{}`.
    pub value: String,
    /// Who set it.
    pub source: Source,
    /// What that replaced, the latest first.
    pub overrode: Vec<Source>,
}

/// The values at or inside of a path, and why they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The hash of what these layers make now.
    pub hash: ContentHash,
    /// The values in the order of the content.
    pub values: Vec<Explained>,
    /// How many further values there are.
    pub more: usize,
}

impl Combined {
    /// Explains the values at or inside of `under`, a path as findings show it (`exporters::otlp`); empty: all. At most
    /// `most` of them.
    ///
    /// # Errors
    /// As [`Self::content`].
    pub fn explain(&self, under: &str, most: usize) -> Result<Explanation, MaterialiseError> {
        let content = self.content()?;
        let provenance = self.provenance();
        let shown = redacted(&content.files)
            .remove(CONFIG_FILE)
            .map(|file| file.body)
            .unwrap_or_default();
        let reading = otelcol::Limits {
            bytes: usize::MAX,
            nodes: usize::MAX,
            ..otelcol::Limits::default()
        };
        let shown = Document::parse_within(&shown, &reading).ok();
        let overridden = by_path(&provenance.overridden);
        let (mut values, mut more) = (Vec::new(), 0);
        for leaf in &provenance.leaves {
            if !is_under(&leaf.path, under) {
                continue;
            }
            if most <= values.len() {
                more += 1;
                continue;
            }
            let node = shown.as_ref().and_then(|shown| shown.at(&leaf.path));
            values.push(Explained {
                value: node.map(text).unwrap_or_default(),
                source: leaf.source.clone(),
                overrode: overrode(&leaf.path, &overridden),
                path: leaf.path.clone(),
            });
        }
        Ok(Explanation {
            hash: content.hash,
            values,
            more,
        })
    }
}

/// What was replaced at each path, with its place in the order in which it was.
fn by_path(overridden: &[Overridden]) -> HashMap<&Path, Vec<(usize, &Overridden)>> {
    let mut found: HashMap<&Path, Vec<(usize, &Overridden)>> = HashMap::new();
    for (place, lost) in overridden.iter().enumerate() {
        found.entry(&lost.path).or_default().push((place, lost));
    }
    found
}

/// What was replaced at this path or as a part of something that was replaced whole, the latest first.
fn overrode(path: &Path, overridden: &HashMap<&Path, Vec<(usize, &Overridden)>>) -> Vec<Source> {
    let steps = path.steps();
    let on_the_way = (1..=steps.len()).filter_map(|length| {
        let part: Path = steps[..length].iter().cloned().collect();
        overridden.get(&part)
    });
    let mut found: Vec<(usize, &Overridden)> = on_the_way.flatten().copied().collect();
    found.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    found
        .into_iter()
        .map(|(_, lost)| lost.source.clone())
        .collect()
}

fn is_under(path: &Path, under: &str) -> bool {
    let mut rest = under;
    for step in path.steps() {
        if rest.is_empty() {
            return true;
        }
        let after = match step {
            Step::Key(name) => rest.strip_prefix(&**name),
            Step::Index(index) => rest.strip_prefix(&*index.to_string()),
        };
        rest = match after {
            Some("") => "",
            Some(after) => match after.strip_prefix("::") {
                Some(after) => after,
                None => return false,
            },
            None => return false,
        };
    }
    rest.is_empty()
}

fn text(node: &Node) -> String {
    match &node.content {
        NodeContent::Scalar(scalar) => scalar.text().to_owned(),
        NodeContent::List(_) => "[]".to_owned(),
        NodeContent::Map(_) => "{}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Renderer;
    use crate::testing::layer;

    const BASE: &str =
        "exporters:\n  otlp:\n    endpoint: a:1\n    headers: {api-key: hunter2}\nlists: [1, 2]\n";
    const OVER: &str = "exporters:\n  otlp:\n    endpoint: b:2\nlists: [3]\nextra: {}\n";

    fn explain(under: &str, most: usize) -> Explanation {
        let layers = [layer("base", 1, 0, BASE), layer("over", 1, 1, OVER)];
        let combined = Renderer::default().combine(&layers).unwrap();
        combined.explain(under, most).unwrap()
    }

    fn told(explained: &Explained) -> String {
        let place = |source: &Source| format!("{}:{}", source.config, source.line);
        let lost: Vec<String> = explained.overrode.iter().map(place).collect();
        let (path, value) = (&explained.path, &explained.value);
        format!(
            "{path}={value} {} <{}>",
            place(&explained.source),
            lost.join(" ")
        )
    }

    #[test]
    fn each_value_names_who_set_it_and_what_that_overrode() {
        let all: Vec<String> = explain("", 100).values.iter().map(told).collect();
        assert_eq!(
            all,
            [
                "exporters::otlp::endpoint=b:2 over:3 <base:3>",
                "exporters::otlp::headers::api-key=[REDACTED] base:4 <>",
                "lists::0=3 over:4 <base:5>",
                "extra={} over:5 <>",
            ]
        );
    }

    #[test]
    fn a_path_narrows_it_and_a_limit_counts_the_rest() {
        let part = explain("exporters::otlp", 100);
        assert_eq!((part.values.len(), part.more), (2, 0));
        // A path is whole steps.
        assert_eq!(explain("exporters::ot", 100).values, []);
        let cut = explain("", 1);
        assert_eq!((cut.values.len(), cut.more), (1, 3));
    }
}
