//! The codes of findings. They are stable: people filter by them and link to them.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Advice,
    /// The Collector runs, and most likely not as meant.
    Warning,
    /// The Collector refuses it.
    Error,
}

impl Severity {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $severity:ident;)*) => {
        /// What kind of finding it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in a sentence.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// A section, or a key of `service` or of a pipeline, that the Collector does not know.
    UnknownKey = "unknown-key", Error;
    /// A list where a map belongs, or the like.
    WrongKind = "wrong-kind", Error;
    /// An id that names nothing.
    BadId = "bad-id", Error;
    /// Two keys that name the same once blanks are left out.
    SameId = "same-id", Error;
    /// No receiver, exporter or pipeline at all.
    NothingToRun = "nothing-to-run", Error;
    /// A pipeline without receivers or without exporters.
    EmptyPipeline = "empty-pipeline", Error;
    /// A component that is used and not defined.
    UndefinedComponent = "undefined-component", Error;
    /// A processor twice in one pipeline.
    RepeatedProcessor = "repeated-processor", Error;
    /// A connector with the id of a receiver or exporter.
    AmbiguousId = "ambiguous-id", Error;
    /// A component that the build does not have.
    UnknownComponent = "unknown-component", Error;
    /// A component in a pipeline of a signal that it does not support.
    UnsupportedSignal = "unsupported-signal", Error;
    /// A connector with one end only, or between signals that it does not connect.
    LooseConnector = "loose-connector", Error;
    /// Pipelines that feed themselves.
    PipelineCycle = "pipeline-cycle", Error;
    /// A pipeline of profiles, which the Collector has behind a feature gate.
    GatedSignal = "gated-signal", Warning;
    /// A component with blanks in its id, whose settings the Collector does not see.
    LostSettings = "lost-settings", Warning;
    /// A component that is defined and not used.
    UnusedComponent = "unused-component", Warning;
    /// A receiver or exporter twice in one pipeline.
    RepeatedComponent = "repeated-component", Advice;
    /// `memory_limiter` behind other processors.
    LateMemoryLimiter = "late-memory-limiter", Advice;
    /// `batch` before other processors.
    EarlyBatch = "early-batch", Advice;
    /// Telemetry that leaves the machine without TLS, or without verification.
    InsecureTransport = "insecure-transport", Warning;
    /// A secret in the text.
    PlaintextSecret = "plaintext-secret", Warning;
    /// An environment variable that is not set and has no default.
    UnsetVariable = "unset-variable", Warning;
    /// More was found than is told.
    MoreFindings = "more-findings", Advice;
}

impl Code {
    /// Whether a part of a configuration may have it where the whole has not: another layer defines, names or uses what it
    /// is about.
    pub const fn is_of_the_whole(self) -> bool {
        matches!(
            self,
            Self::NothingToRun
                | Self::EmptyPipeline
                | Self::UndefinedComponent
                | Self::LooseConnector
                | Self::UnusedComponent
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
