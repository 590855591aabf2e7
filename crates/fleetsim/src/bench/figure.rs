//! The figures that have a budget, as DESIGN.md "Budgets" defines them.

use serde::Serialize;

/// One measured figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Memory of an idle agent.
    IdleMemory,
    /// CPU time of a status report.
    StatusReport,
    /// CPU time of a stored change.
    StoredChange,
    /// Time until a new config is everywhere.
    FanOut,
    /// Time of a request for a page of agents while a config goes out.
    AgentsList,
    /// Time until a fleet whose sockets all closed is back.
    Storm,
    /// Time until a fleet is back after the server was killed.
    RestartStorm,
    /// Time of a plan in which templates make 300 different texts, with nothing made before.
    TemplatePlan,
    /// Time that such a plan takes to render and merge.
    TemplateRender,
}

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Plain WebSocket.
    Plain,
    /// WebSocket over TLS 1.3: P-256, no resumption.
    Tls,
}

impl Figure {
    /// All of them, in the order in which one run measures them.
    pub const ALL: [Self; 9] = [
        Self::IdleMemory,
        Self::StatusReport,
        Self::StoredChange,
        Self::FanOut,
        Self::AgentsList,
        Self::Storm,
        Self::RestartStorm,
        Self::TemplatePlan,
        Self::TemplateRender,
    ];

    /// What it is called in tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::IdleMemory => "memory of an idle agent",
            Self::StatusReport => "CPU of a status report",
            Self::StoredChange => "CPU of a stored change",
            Self::FanOut => "fan-out",
            Self::AgentsList => "list of agents, p99",
            Self::Storm => "storm",
            Self::RestartStorm => "restart storm",
            Self::TemplatePlan => "plan of 300 templated texts",
            Self::TemplateRender => "rendering and merging them",
        }
    }

    /// The unit of its values.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::IdleMemory => "KiB",
            Self::StatusReport | Self::StoredChange => "µs",
            Self::AgentsList => "ms",
            Self::FanOut
            | Self::Storm
            | Self::RestartStorm
            | Self::TemplatePlan
            | Self::TemplateRender => "s",
        }
    }

    /// The most it may be.
    #[must_use]
    pub fn budget(self, mode: Mode) -> f64 {
        let (plain, tls) = match self {
            Self::IdleMemory => (5.0, 14.0),
            Self::StatusReport => (16.0, 20.0),
            Self::StoredChange => (60.0, 65.0),
            Self::FanOut => (0.6, 1.0),
            Self::AgentsList => (30.0, 30.0),
            Self::Storm => (1.5, 8.0),
            Self::RestartStorm => (3.0, 10.0),
            Self::TemplatePlan => (2.0, 2.0),
            Self::TemplateRender => (1.0, 1.0),
        };
        match mode {
            Mode::Plain => plain,
            Mode::Tls => tls,
        }
    }

    /// What Go's reference server library took on the machine of the design, if it can do it at all.
    #[must_use]
    pub fn reference(self, mode: Mode) -> &'static str {
        let (plain, tls) = match self {
            Self::IdleMemory => ("29.5", "47.3"),
            Self::StatusReport => ("21", "28"),
            Self::StoredChange => ("nothing stored", "nothing stored"),
            Self::FanOut => ("0.7-1.3", "1.5-2.3"),
            Self::Storm => ("2.4", "16.4"),
            Self::AgentsList | Self::RestartStorm | Self::TemplatePlan | Self::TemplateRender => {
                ("–", "–")
            }
        };
        match mode {
            Mode::Plain => plain,
            Mode::Tls => tls,
        }
    }
}

impl Mode {
    /// What it is called in tables and file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
        }
    }
}
