//! The page of the documentation that explains a finding.

use engine::admin::source::CheckCode;

/// Where the documentation is.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// The address of its directory; none: it is named by its path in this program's repository.
    url: Option<String>,
}

/// The page of codes that have none of their own.
const CODES: &str = "check-configs.md#codes";

/// Reads the address of the documentation.
pub(super) fn parse(text: &str) -> Result<Pages, String> {
    let is_address = ["https://", "http://"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty())
    });
    if !is_address || text.contains(char::is_whitespace) {
        return Err("write an address such as https://git.example.com/opamp/src/docs".to_owned());
    }
    Ok(Pages {
        url: Some(text.trim_end_matches('/').to_owned()),
    })
}

impl Pages {
    /// The address of the documentation, where it is known.
    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The page of a code: its address, or its path.
    pub(super) fn of(&self, code: &CheckCode) -> String {
        let root = self.url().unwrap_or("docs");
        match code.has_page {
            true => format!("{root}/findings/{}.md", code.name),
            false => format!("{root}/{CODES}"),
        }
    }

    /// A URI for a code: the address of its page, or a name where that is not known.
    pub(super) fn uri(&self, code: &CheckCode) -> String {
        match self.url() {
            Some(_) => self.of(code),
            None => format!("urn:opamp-server:finding:{}", code.name),
        }
    }
}
