//! The configuration that a benchmark releases: a valid collector configuration of a given length.

/// A collector configuration of exactly `bytes` bytes; another `version` is another content.
pub(crate) fn collector_config(bytes: usize, version: u32) -> String {
    let mut text = format!("# benchmark configuration, version {version}\n{HEAD}");
    for number in 0.. {
        let line = format!(
            "      - {{ key: bench.{number:04}, value: \"version {version}\", action: upsert }}\n"
        );
        if bytes < text.len() + line.len() {
            break;
        }
        text.push_str(&line);
    }
    while text.len() < bytes {
        text.push('#');
    }
    text
}

const HEAD: &str = "\
receivers:
  otlp: { protocols: { grpc: { endpoint: \"127.0.0.1:4317\" } } }
exporters:
  debug: { verbosity: basic }
service:
  pipelines:
    traces: { receivers: [otlp], processors: [attributes], exporters: [debug] }
processors:
  attributes:
    actions:
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_length_and_depends_on_its_version() {
        let (one, two) = (collector_config(8192, 1), collector_config(8192, 2));
        assert_eq!((one.len(), two.len()), (8192, 8192));
        assert_ne!(one, two);
        assert_eq!(one, collector_config(8192, 1));
    }
}
