//! Short calls of the collector's program, with a deadline and bounded output.

use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::reason;
use crate::process::Launch;

/// More output than this is cut, in bytes.
const MAX_OUTPUT_BYTES: u64 = 4 * 1024 * 1024;

/// Why a call did not give what was asked for.
#[derive(Debug, Error)]
pub enum ToolError {
    /// The program said no; for `validate`: the configuration is bad.
    #[error("{reason}")]
    Refused {
        /// Its own words, trimmed.
        reason: String,
    },
    /// It was killed from outside (for want of memory, say), which is no answer.
    #[error("{program} was ended by {status}")]
    Killed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It did not answer in time and was killed.
    #[error("{} did not answer within {} s", program, limit.as_secs())]
    TimedOut {
        /// The program.
        program: String,
        /// The time it had.
        limit: Duration,
    },
    /// It could not be run.
    #[error("running {program}")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Has the program check the configurations of `launch`. Dropping the future ends the check.
///
/// # Errors
/// The program's own reason when the configuration is bad; else why it could not be asked.
pub async fn validate(launch: &Launch, limit: Duration) -> Result<(), ToolError> {
    run_tool(launch.validate_command(), limit).await.map(drop)
}

/// Runs `command` and gives its standard output. Dropping the future kills the process.
///
/// # Errors
/// When it fails, takes longer than `limit` or cannot be run.
pub async fn run_tool(command: Command, limit: Duration) -> Result<String, ToolError> {
    let program = command.get_program().to_string_lossy().into_owned();
    match timeout(limit, collect(command)).await {
        Ok(Ok(output)) if output.status.success() => Ok(output.stdout),
        Ok(Ok(output)) if output.status.code().is_none() => Err(ToolError::Killed {
            program,
            status: output.status,
        }),
        Ok(Ok(output)) => {
            let reason = reason::of_failure(&output.stderr);
            let reason = if reason.is_empty() {
                format!("{program} ended with {}", output.status)
            } else {
                reason
            };
            Err(ToolError::Refused { reason })
        }
        Ok(Err(source)) => Err(ToolError::Run { program, source }),
        Err(_) => Err(ToolError::TimedOut { program, limit }),
    }
}

struct Output {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

async fn collect(mut command: Command) -> std::io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
    Ok(Output {
        status: child.wait().await?,
        stdout,
        stderr,
    })
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream
            .take(MAX_OUTPUT_BYTES)
            .read_to_end(&mut bytes)
            .await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn output_is_what_the_program_wrote() {
        assert_eq!(
            run_tool(shell("echo words; echo noise >&2"), LIMIT)
                .await
                .unwrap(),
            "words\n"
        );
    }

    #[tokio::test]
    async fn a_refusal_carries_the_reason_of_the_program() {
        let error = run_tool(shell("echo 'Error: no receiver' >&2; exit 1"), LIMIT)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "no receiver");
        let error = run_tool(shell("exit 7"), LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh ended with exit status: 7");
    }

    #[tokio::test]
    async fn a_program_that_is_killed_has_said_nothing() {
        let error = run_tool(shell("echo 'Error: half' >&2; kill -9 $$"), LIMIT)
            .await
            .unwrap_err();
        assert!(matches!(error, ToolError::Killed { .. }), "{error}");
        assert!(error.to_string().contains("signal"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_given_up() {
        let error = run_tool(shell("exec sleep 1000"), Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = run_tool(Command::new("/no/such/otelcol"), LIMIT)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "running /no/such/otelcol");
    }
}
