//! Where a repository is: what its address says.

use std::path::PathBuf;

use super::GitError;

/// A repository's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A path on a server that is reached over SSH.
    Ssh(SshLocation),
    /// An address of a web server.
    Http(HttpLocation),
}

/// A repository that is reached over SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshLocation {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) path: String,
}

/// A repository that is reached over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpLocation {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// From the first `/`, without one at the end.
    pub(super) path: String,
}

impl Location {
    /// Reads an address.
    pub(super) fn parse(address: &str) -> Result<Self, GitError> {
        let refuse = |problem: &str| GitError::Options {
            option: "repository",
            problem: problem.to_owned(),
        };
        if address.is_empty() || address.contains(char::is_control) {
            return Err(refuse("is empty or has a control character"));
        }
        let Some((scheme, rest)) = address.split_once("://") else {
            return Self::without_scheme(address).map_err(|problem| refuse(&problem));
        };
        let location = match scheme {
            "file" => directory(rest),
            "ssh" => ssh(rest),
            "http" => http(rest, false),
            "https" => http(rest, true),
            _ => Err(format!(
                "begins with {scheme}://: use a path, file://, ssh://, http:// or https://"
            )),
        };
        location.map_err(|problem| refuse(&problem))
    }

    /// A path, or `user@host:path` as `scp` has it: that has a colon before any slash.
    fn without_scheme(address: &str) -> Result<Self, String> {
        let before_slash = address.split('/').next().unwrap_or(address);
        let Some((server, _)) = before_slash.split_once(':') else {
            return directory(address);
        };
        let path = &address[server.len() + 1..];
        ssh_server(server, path)
    }
}

fn directory(path: &str) -> Result<Location, String> {
    if !path.starts_with('/') {
        return Err(format!("is {path:?}: write the whole path, from /"));
    }
    Ok(Location::Directory(PathBuf::from(path)))
}

fn ssh(rest: &str) -> Result<Location, String> {
    let (server, path) = rest
        .split_once('/')
        .ok_or("names no path: write ssh://user@host/path")?;
    // `ssh://host/~user/path` means a home directory, as for git.
    let path = if path.starts_with('~') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    ssh_server(server, &path)
}

fn ssh_server(server: &str, path: &str) -> Result<Location, String> {
    let (user, host) = match server.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, server),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("holds a password: SSH logs in with a key".to_owned());
    }
    let (host, port) = host_and_port(host)?;
    // What begins so could be taken for an option of ssh.
    if host.starts_with('-')
        || user.is_some_and(|user| user.starts_with('-'))
        || path.is_empty()
        || path.starts_with(':')
    {
        return Err("is no address: write ssh://user@host/path or user@host:path".to_owned());
    }
    Ok(Location::Ssh(SshLocation {
        user: user.map(str::to_owned),
        host,
        port,
        path: path.to_owned(),
    }))
}

fn http(rest: &str, is_tls: bool) -> Result<Location, String> {
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    if server.contains('@') {
        return Err(
            "holds a user or password, which logs would show: give them as token".to_owned(),
        );
    }
    if !path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
    {
        return Err("has a query, or a character that must be written as %XX".to_owned());
    }
    let (host, port) = host_and_port(server)?;
    Ok(Location::Http(HttpLocation {
        is_tls,
        host,
        port: port.unwrap_or(if is_tls { 443 } else { 80 }),
        path: format!("/{}", path.trim_end_matches('/')),
    }))
}

/// `host`, `host:port`, `[::1]`, `[::1]:port`; the host comes without brackets.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if host.is_empty() || !host.chars().all(is_part) {
        return Err(format!("names no host: {text:?}"));
    }
    let port = port.map(|port| port.parse().map_err(|_| format!("has no port {port:?}")));
    Ok((host.to_owned(), port.transpose()?))
}

impl HttpLocation {
    /// The server as addresses and `Host` headers name it.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The whole address.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>, path: &str) -> Location {
        Location::Ssh(SshLocation {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (address, expected) in [
            (
                "/srv/git/a.git",
                Location::Directory("/srv/git/a.git".into()),
            ),
            (
                "file:///srv/git/a.git",
                Location::Directory("/srv/git/a.git".into()),
            ),
            ("/srv/a:b/c", Location::Directory("/srv/a:b/c".into())),
            (
                "ssh://git@host/a/b.git",
                ssh(Some("git"), "host", None, "/a/b.git"),
            ),
            (
                "ssh://host:2222/~bob/b.git",
                ssh(None, "host", Some(2222), "~bob/b.git"),
            ),
            (
                "ssh://git@[::1]:22/a",
                ssh(Some("git"), "::1", Some(22), "/a"),
            ),
            (
                "git@host:a/b.git",
                ssh(Some("git"), "host", None, "a/b.git"),
            ),
            ("host:/a/b:c.git", ssh(None, "host", None, "/a/b:c.git")),
        ] {
            assert_eq!(Location::parse(address).expect(address), expected);
        }
    }

    #[test]
    fn web_addresses_are_told_again_without_what_goes_without_saying() {
        for (address, expected) in [
            ("https://host/a/b.git", "https://host/a/b.git"),
            ("https://host:443/a/", "https://host/a"),
            ("http://host:8080/a", "http://host:8080/a"),
            ("http://[::1]:80/a", "http://[::1]/a"),
        ] {
            let Location::Http(http) = Location::parse(address).expect(address) else {
                panic!("{address} is a web address")
            };
            assert_eq!(http.url(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_shows_no_password() {
        for address in [
            "",
            "relative/path",
            "file://host/path".trim_end_matches("/path"),
            "git://host/a",
            "ext::sh -c id",
            "https://bob:hunter2@host/a",
            "https://hunter2@host/a",
            "ssh://bob:hunter2@host/a",
            "ssh://-oProxyCommand=id/a",
            "-oProxyCommand=id:a",
            "ssh://-l@host/a",
            "ssh://host",
            "host:",
            "http://host:99999/a",
            "http:///a",
            "http://host/a?b",
            "http://ho st/a",
            "http://host/a\nb",
        ] {
            let error = Location::parse(address)
                .map(drop)
                .expect_err(address)
                .to_string();
            assert!(error.starts_with("the Git source's repository "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
