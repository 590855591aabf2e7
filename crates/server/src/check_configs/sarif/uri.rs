//! Relative URIs of files: forges resolve them from the root of the repository, in which pipelines start commands.

use std::path::{Component, Path};

/// The directory from which files of the source are named.
#[derive(Default)]
pub(super) struct Base {
    /// Its URI from the working directory, with a slash at its end, or empty; also where it is not below that.
    prefix: String,
}

impl Base {
    pub(super) fn of(directory: &Path) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        Self::below(&here, directory)
    }

    fn below(here: &Path, directory: &Path) -> Self {
        let relative = match directory.is_absolute() {
            true => directory.strip_prefix(here).unwrap_or(Path::new("")),
            false => directory,
        };
        let mut prefix = String::new();
        for component in relative.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) => {
                    prefix.push_str(&encoded(&name.to_string_lossy()));
                    prefix.push('/');
                }
                // Above the working directory.
                _ => return Self::default(),
            }
        }
        Self { prefix }
    }

    /// A file of the source; an empty path is the source itself.
    pub(super) fn uri(&self, file: &str) -> String {
        match (file, &*self.prefix) {
            ("", "") => "./".to_owned(),
            (file, prefix) => format!("{prefix}{}", encoded(file)),
        }
    }
}

/// A path with everything escaped that is not itself in a URI (RFC 3986, section 2.3).
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_working_directory() {
        let uri = |directory: &str, file: &str| {
            Base::below(Path::new("/repo"), Path::new(directory)).uri(file)
        };
        assert_eq!(uri(".", "a/b.yaml"), "a/b.yaml");
        assert_eq!(uri("./collectors/", "b.yaml"), "collectors/b.yaml");
        assert_eq!(uri("/repo/collectors", "b.yaml"), "collectors/b.yaml");
        assert_eq!(uri("/elsewhere", "b.yaml"), "b.yaml");
        assert_eq!(uri("../up", "b.yaml"), "b.yaml");
        assert_eq!(uri("a b", "ä:1%.yaml"), "a%20b/%C3%A4%3A1%25.yaml");
        assert_eq!((uri(".", ""), uri("a", "")), ("./".into(), "a/".into()));
    }
}
