//! The messages of the custom capability `io.opamp-rs.dry-run/1`: a server has an agent check what it is not to apply.
//!
//! ```proto
//! message Validate {                                      // type "validate", server to agent
//!   bytes id = 1;                                         // 16 bytes, of this question
//!   opamp.proto.v1.AgentRemoteConfig remote_config = 2;   // the candidate, as it would be offered
//! }
//! message Validated {                                     // type "validated", agent to server
//!   bytes id = 1;                                         // as asked
//!   bytes config_hash = 2;                                // as asked
//!   Outcome outcome = 3;                                  // 1 accepted, 2 refused, 3 failed
//!   string reason = 4;                                    // of 2 and 3
//! }
//! ```

use opamp_model::{
    ConfigMap, CustomMessage, DRY_RUN, DRY_RUN_CONFIG_BYTES, DryRunAnswer, DryRunId, DryRunOutcome,
    DryRunQuestion, dry_run_bytes,
};
use prost::Message as _;

use crate::{Limits, Malformed, proto, shape};

const VALIDATE: &str = "validate";
const VALIDATED: &str = "validated";

#[derive(Clone, PartialEq, prost::Message)]
struct Validate {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    remote_config: Option<proto::AgentRemoteConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Validated {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    config_hash: Vec<u8>,
    #[prost(enumeration = "Outcome", tag = "3")]
    outcome: i32,
    #[prost(string, tag = "4")]
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Outcome {
    Unset = 0,
    Accepted = 1,
    Refused = 2,
    Failed = 3,
}

/// The question as a custom message.
pub fn ask(id: DryRunId, config: &ConfigMap, hash: &[u8]) -> CustomMessage {
    let remote_config = proto::AgentRemoteConfig {
        config: Some(config.into()),
        config_hash: hash.to_vec(),
    };
    message(
        VALIDATE,
        &Validate {
            id: id.as_bytes().to_vec(),
            remote_config: Some(remote_config),
        },
    )
}

/// The question in a custom message; nothing in one of another capability or type, or without an id.
///
/// # Errors
/// [`Malformed`]: it cannot be read, or its configuration is larger than [`DRY_RUN_CONFIG_BYTES`].
pub fn read_question(
    message: &CustomMessage,
    limits: &Limits,
) -> Result<Option<DryRunQuestion>, Malformed> {
    if message.capability != DRY_RUN || message.kind != VALIDATE {
        return Ok(None);
    }
    shape::DRY_RUN_QUESTION.check(&message.data, limits)?;
    let read = Validate::decode(&*message.data).map_err(Malformed::Decode)?;
    let Some(id) = DryRunId::from_slice(&read.id) else {
        return Ok(None);
    };
    let offer = read.remote_config.unwrap_or_default();
    let config: ConfigMap = offer.config.unwrap_or_default().into();
    let bytes = dry_run_bytes(&config);
    if DRY_RUN_CONFIG_BYTES < bytes {
        return Err(Malformed::TooLarge {
            part: "dry run's configuration",
            bytes,
            limit_bytes: DRY_RUN_CONFIG_BYTES,
        });
    }
    Ok(Some(DryRunQuestion {
        id,
        config,
        hash: offer.config_hash,
    }))
}

/// The answer as a custom message.
pub fn answer(answer: &DryRunAnswer) -> CustomMessage {
    let (outcome, reason) = match &answer.outcome {
        DryRunOutcome::Accepted => (Outcome::Accepted, ""),
        DryRunOutcome::Refused(reason) => (Outcome::Refused, reason.as_str()),
        DryRunOutcome::Failed(reason) => (Outcome::Failed, reason.as_str()),
    };
    message(
        VALIDATED,
        &Validated {
            id: answer.id.as_bytes().to_vec(),
            config_hash: answer.hash.clone(),
            outcome: outcome.into(),
            reason: reason.to_owned(),
        },
    )
}

/// The answer in a custom message; nothing in one of another capability or type, or without an id or an outcome.
///
/// # Errors
/// [`Malformed`]: it cannot be read.
pub fn read_answer(message: &CustomMessage) -> Result<Option<DryRunAnswer>, Malformed> {
    if message.capability != DRY_RUN || message.kind != VALIDATED {
        return Ok(None);
    }
    let read = Validated::decode(&*message.data).map_err(Malformed::Decode)?;
    let outcome = match read.outcome() {
        Outcome::Unset => None,
        Outcome::Accepted => Some(DryRunOutcome::Accepted),
        Outcome::Refused => Some(DryRunOutcome::Refused(read.reason)),
        Outcome::Failed => Some(DryRunOutcome::Failed(read.reason)),
    };
    let id = DryRunId::from_slice(&read.id);
    Ok(id.zip(outcome).map(|(id, outcome)| DryRunAnswer {
        id,
        hash: read.config_hash,
        outcome,
    }))
}

fn message(kind: &str, data: &impl prost::Message) -> CustomMessage {
    CustomMessage {
        capability: DRY_RUN.to_owned(),
        kind: kind.to_owned(),
        data: data.encode_to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use opamp_model::ConfigFile;

    use super::*;

    const ID: DryRunId = DryRunId::new([7; 16]);

    fn config(body: &str) -> ConfigMap {
        ConfigMap::from([("config.yaml".into(), ConfigFile::new(body, "text/yaml"))])
    }

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        let asked = ask(ID, &config("a: 1"), b"hash");
        let read = read_question(&asked, &Limits::CLIENT).unwrap().unwrap();
        assert_eq!((read.id, read.hash), (ID, b"hash".to_vec()));
        assert_eq!(read.config, config("a: 1"));
        assert_eq!(read_answer(&asked).unwrap(), None);
    }

    #[test]
    fn an_answer_arrives_as_it_was_given() {
        for outcome in [
            DryRunOutcome::Accepted,
            DryRunOutcome::Refused("no receiver".into()),
            DryRunOutcome::Failed("busy".into()),
        ] {
            let hash = b"hash".to_vec();
            let given = DryRunAnswer {
                id: ID,
                hash,
                outcome,
            };
            let sent = answer(&given);
            assert_eq!(read_answer(&sent).unwrap(), Some(given));
            assert_eq!(read_question(&sent, &Limits::CLIENT).unwrap(), None);
        }
    }

    #[test]
    fn cu_03_what_is_no_message_of_this_capability_is_passed_over() {
        let none = |message: CustomMessage| {
            assert_eq!(read_answer(&message).unwrap(), None);
            assert_eq!(read_question(&message, &Limits::CLIENT).unwrap(), None);
        };
        let empty = |kind: &str| CustomMessage {
            capability: DRY_RUN.into(),
            kind: kind.into(),
            data: Vec::new(),
        };
        none(empty("other"));
        none(empty(VALIDATE));
        none(empty(VALIDATED));
        none(CustomMessage {
            capability: "io.example.other".into(),
            ..ask(ID, &config(""), b"")
        });
        let garbage = CustomMessage {
            data: vec![0xff; 9],
            ..empty(VALIDATED)
        };
        assert!(read_answer(&garbage).is_err());
    }

    #[test]
    fn a_question_has_limits() {
        let large = ask(ID, &config(&"#".repeat(DRY_RUN_CONFIG_BYTES)), b"");
        let error = read_question(&large, &Limits::CLIENT).unwrap_err();
        assert!(matches!(error, Malformed::TooLarge { .. }), "{error}");
        let few = Limits {
            nodes: 2,
            ..Limits::CLIENT
        };
        let error = read_question(&ask(ID, &config("a: 1"), b""), &few).unwrap_err();
        assert!(matches!(error, Malformed::TooMany { .. }), "{error}");
    }
}
