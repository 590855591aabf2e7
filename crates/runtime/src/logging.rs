//! Logs on stderr: one JSON object a line, or a human form on a terminal.
//!
//! Every line has `timestamp`, `level` in capitals, `component` (the program's name) and `event`; then the fields. The
//! event is the field `event` where a call has one (its text is then `message`), else the text itself:
//! `info!(event = "agent_connected", agent_id = %id, "agent connected")`.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};

use serde::Deserialize;
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};

/// How a program logs; the section `log` of its configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Least severe level that is written, `error`, `warn`, `info`, `debug` or `trace`, with directives for parts of the
    /// program after commas (`info,gateway=debug`). Default `info`.
    pub level: String,
    /// `json`: one object a line; `text`: for people; `auto`: text on a terminal, else json. Default `auto`.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// A form for people, with colors on a terminal.
    Text,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The level is not a list of directives.
    #[error(
        "log.level {level:?} is neither a level (error, warn, info, debug, trace) nor a list of directives such as info,gateway=debug"
    )]
    Level {
        /// The text as configured.
        level: String,
        /// What the parser said.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a logger already.
    #[error("logging is set up already")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}

impl LogConfig {
    /// Checks the level without setting anything up.
    ///
    /// # Errors
    /// When `level` is no list of directives.
    pub fn check(&self) -> Result<(), LoggingError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, LoggingError> {
        EnvFilter::builder()
            .parse(&self.level)
            .map_err(|source| LoggingError::Level {
                level: self.level.clone(),
                source,
            })
    }

    fn is_json(&self) -> bool {
        match self.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !io::stderr().is_terminal(),
        }
    }
}

/// Sends this process's logs to stderr, named `component`.
///
/// # Errors
/// When the level is unreadable or the process has a logger already.
pub fn init(component: &'static str, config: &LogConfig) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let filter = config.filter()?;
    let outcome = if config.is_json() {
        json_subscriber(component, filter, io::stderr).try_init()
    } else {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .finish()
            .try_init()
    };
    outcome.map_err(LoggingError::AlreadySet)
}

fn json_subscriber<W>(
    component: &'static str,
    filter: EnvFilter,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .event_format(JsonLine { component })
        .finish()
}

/// Writes one event as one JSON object, straight into the line's buffer: there is one line per agent and offer, so that a
/// release to a large fleet writes tens of thousands of them.
struct JsonLine {
    component: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let has = |name| metadata.fields().field(name).is_some();
        // Without a name of its own an event is known by its text.
        let (name, text) = if has("event") {
            ("event", has("message"))
        } else {
            ("message", false)
        };
        let (now, level, component) = (SystemClock.now(), metadata.level(), self.component);
        write!(
            writer,
            r#"{{"timestamp":"{now:.3}","level":"{level}","component":"{component}","event":""#
        )?;
        text_of(event, name, &mut writer)?;
        if text {
            writer.write_str("\",\"message\":\"")?;
            text_of(event, "message", &mut writer)?;
        }
        writer.write_char('"')?;
        let mut rest = Rest {
            writer: &mut writer,
            outcome: Ok(()),
        };
        event.record(&mut rest);
        rest.outcome?;
        writeln!(writer, r#","target":"{}"}}"#, metadata.target())
    }
}

/// Writes the text of one field, without quotes.
fn text_of(event: &Event<'_>, name: &'static str, writer: &mut Writer<'_>) -> fmt::Result {
    let mut one = One {
        name,
        writer,
        outcome: Ok(()),
    };
    event.record(&mut one);
    one.outcome
}

/// Writes the text of the field `name`.
struct One<'a, 'w> {
    name: &'static str,
    writer: &'a mut Writer<'w>,
    outcome: fmt::Result,
}

impl Visit for One<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == self.name {
            self.outcome = self.outcome.and(write!(Escaped(self.writer), "{value:?}"));
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.name {
            self.outcome = self.outcome.and(Escaped(self.writer).write_str(value));
        }
    }
}

/// Writes every field but the event's name and text.
struct Rest<'a, 'w> {
    writer: &'a mut Writer<'w>,
    outcome: fmt::Result,
}

impl Rest<'_, '_> {
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let name = field.name();
        // Fields that would shadow the fixed keys, and the bookkeeping of the `log` crate's bridge, are dropped.
        let fixed = matches!(
            name,
            "event" | "message" | "timestamp" | "level" | "component" | "target"
        );
        if !fixed && !name.starts_with("log.") {
            let key = write!(self.writer, r#","{name}":"#);
            self.outcome = self.outcome.and(key).and_then(|()| write(self.writer));
        }
    }

    fn put_text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        self.put(field, |writer| {
            writer.write_char('"')?;
            Escaped(writer).write_fmt(text)?;
            writer.write_char('"')
        });
    }
}

impl Visit for Rest<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format_args!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, format_args!("{value}"));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, format_args!("{}", error_chain(value)));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |writer| write!(writer, "{value}"));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.put(field, |writer| write!(writer, "{value}")),
            false => self.put(field, |writer| writer.write_str("null")),
        }
    }
}

/// Writes text as the inside of a JSON string.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if b' ' <= byte && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.0.write_str(&text[plain..at])?;
            plain = at + 1;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                b'\r' => self.0.write_str("\\r")?,
                b'\t' => self.0.write_str("\\t")?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
        }
        self.0.write_str(&text[plain..])
    }
}

/// An error with all its causes in one line: `reading a.yaml: permission denied`.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::{debug, error, info};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, log: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        let config = LogConfig {
            level: level.to_owned(),
            format: LogFormat::Json,
        };
        let subscriber = json_subscriber("opamp-server", config.filter().unwrap(), move || {
            writer.clone()
        });
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_one_json_object_with_the_fixed_keys() {
        let lines = logged("info", || {
            info!(event = "agent_connected", agent_id = %"a-1", duration_ms = 12, success = true, "agent connected");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["component"], "opamp-server");
        assert_eq!(line["event"], "agent_connected");
        assert_eq!(line["message"], "agent connected");
        assert_eq!(line["agent_id"], "a-1");
        assert_eq!(line["duration_ms"], 12);
        assert_eq!(line["success"], true);
        assert!(
            line["timestamp"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok()
        );
    }

    #[test]
    fn text_without_a_name_is_the_event() {
        let lines = logged("info", || info!(bytes = 7_u64, "config_sent"));
        assert_eq!(lines[0]["event"], "config_sent");
        assert_eq!(lines[0].get("message"), None);
    }

    #[test]
    fn a_line_break_in_a_field_stays_in_its_line() {
        let lines = logged("info", || info!(error = "first\nsecond", "config_failed"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["error"], "first\nsecond");
    }

    #[test]
    fn values_keep_their_types_and_any_text_stays_text() {
        let odd = "quote \" backslash \\ tab \t bell \u{7} end";
        let lines = logged("info", || {
            info!(event = odd, count = 3_i64, share = 0.5, nothing = f64::NAN, on = true, list = ?["a\"b"], level = "x", "");
        });
        let line = &lines[0];
        assert_eq!(line["event"], odd);
        assert_eq!(
            (&line["count"], &line["share"], &line["on"]),
            (&3.into(), &0.5.into(), &true.into())
        );
        assert_eq!(line["nothing"], Value::Null);
        assert_eq!(line["list"], "[\"a\\\"b\"]");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        #[derive(Debug, Error)]
        #[error("opening the database")]
        struct Open(#[source] io::Error);
        let failure = Open(io::Error::other("disk full"));
        let lines = logged("info", || {
            error!(
                error = &failure as &(dyn std::error::Error + 'static),
                "database_degraded"
            )
        });
        assert_eq!(lines[0]["error"], "opening the database: disk full");
    }

    #[test]
    fn levels_below_the_configured_one_are_left_out() {
        assert!(logged("info", || debug!("heartbeat")).is_empty());
        assert_eq!(
            logged("info,runtime=debug", || debug!("heartbeat")).len(),
            1
        );
    }

    #[test]
    fn an_unreadable_level_is_refused_by_name() {
        let config = LogConfig {
            level: "loud=very".to_owned(),
            format: LogFormat::Auto,
        };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .contains("log.level \"loud=very\"")
        );
    }
}
