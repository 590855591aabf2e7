//! `opamp-server check-configs`: what the Git source would say of a directory, for the pipeline of a config repository.
//!
//! Everything is decided by [`check_source`]; here files are read and findings written.

mod builds;
mod json;
mod labels;
mod pages;
mod sarif;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use backends::SourceLimits;
use backends::directory::{self, DirectoryError};
use clap::{Args, ValueEnum};
use engine::admin::source::{CheckFinding, CheckOptions, CheckedBuild, SourceCheck, check_source};
use engine::domain::Labels;
use engine::{EngineLimits, Severity};
use thiserror::Error;

use builds::{BuildError, Given};
use pages::Pages;

/// What to check, and how to tell it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The source's directory in a working copy: its root, or what `config_source.git.path` names
    directory: PathBuf,
    /// Check what an agent with these labels would get, such as env=prod,region=eu; may be given several times, and as ""
    /// for one without labels
    #[arg(long, value_parser = labels::parse)]
    labels: Vec<Labels>,
    /// Check for this build, too: a release such as otelcol@0.149.0, or a file with what `otelcol components` prints; behind a
    /// comma a file with what `otelcol validate` says where it refuses components that do not exist. May be given several
    /// times
    #[arg(long = "build", value_name = "BUILD", value_parser = builds::parse)]
    builds: Vec<Given>,
    /// How to write the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Exit with 1 for warnings, too
    #[arg(long)]
    deny_warnings: bool,
    /// Where the directory `docs` of this program can be read, for links in the findings
    #[arg(long, value_name = "URL", value_parser = pages::parse)]
    docs_url: Option<Pages>,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A line for each finding, and one that counts them
    #[default]
    Text,
    /// One JSON object; docs/check-configs.md has its shape
    Json,
    /// SARIF 2.1.0, as forges and editors read it
    Sarif,
}

/// What the check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that would have to be mended.
    Good,
    /// Errors, or warnings where these are denied.
    Bad,
}

/// Why nothing was checked, or not told.
#[derive(Debug, Error)]
pub enum CheckConfigsError {
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A build cannot be read.
    #[error("--build {name}")]
    Build {
        name: String,
        #[source]
        source: BuildError,
    },
    /// The findings cannot be written.
    #[error("writing the findings")]
    Write(#[from] io::Error),
}

/// What is told, whatever the format.
struct Report<'a> {
    directory: &'a Path,
    labels: &'a [Labels],
    builds: &'a [CheckedBuild],
    pages: &'a Pages,
    check: &'a SourceCheck,
}

/// Checks a directory within these limits and writes what was found.
///
/// # Errors
/// [`CheckConfigsError`].
pub fn run(
    arguments: &Arguments,
    limits: &EngineLimits,
    out: &mut impl Write,
) -> Result<Verdict, CheckConfigsError> {
    let files = match directory::files(&arguments.directory, &SourceLimits::default()) {
        Ok(files) => Ok(files),
        Err(DirectoryError::TooLarge(broken)) => Err(broken),
        Err(error) => return Err(error.into()),
    };
    let builds = arguments.builds.iter().map(Given::read);
    let options = CheckOptions {
        limits: limits.desired,
        agents: arguments.labels.clone(),
        builds: builds.collect::<Result<_, _>>()?,
    };
    let check = check_source(files, &options);
    let report = Report {
        directory: &arguments.directory,
        labels: &arguments.labels,
        builds: &options.builds,
        pages: &arguments.docs_url.clone().unwrap_or_default(),
        check: &check,
    };
    match arguments.format {
        Format::Text => text::write(&report, out)?,
        Format::Json => json::write(&report, out)?,
        Format::Sarif => sarif::write(&report, out)?,
    }
    out.flush()?;
    let worst = match arguments.deny_warnings {
        true => check.count(Severity::Error) + check.count(Severity::Warning),
        false => check.count(Severity::Error),
    };
    Ok(if worst == 0 {
        Verdict::Good
    } else {
        Verdict::Bad
    })
}

impl<'a> Report<'a> {
    /// The labels whose agents would get what a finding is about.
    fn labels_of(&self, found: &CheckFinding) -> impl Iterator<Item = String> {
        let known = found.agents.iter();
        let known = known.filter_map(|agent| self.labels.get(*agent));
        known.map(labels::text)
    }

    /// The builds that a finding is about; none: any.
    fn builds_of(&self, found: &CheckFinding) -> impl Iterator<Item = &'a str> {
        let (all, known) = (self.builds, found.builds.iter());
        known.filter_map(|build| Some(&*all.get(*build)?.name))
    }

    /// Whom it is about, to be read behind a sentence; empty where it is about a document alone.
    fn audience(&self, found: &CheckFinding) -> String {
        let named = |labels: String| match &*labels {
            "" => "no labels".to_owned(),
            _ => labels,
        };
        let labels: Vec<String> = self.labels_of(found).map(named).collect();
        let builds: Vec<&str> = self.builds_of(found).collect();
        match (&labels[..], &builds[..]) {
            ([], []) => String::new(),
            (labels, []) => format!(" (for {})", labels.join("; ")),
            ([], builds) => format!(" (in {})", builds.join(", ")),
            (labels, builds) => {
                format!(" (for {}; in {})", labels.join("; "), builds.join(", "))
            }
        }
    }
}
