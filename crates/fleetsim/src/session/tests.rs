//! The session's rules, each under the number that the conformance checklist gives it.

use opamp::proto::{AgentToServer, RemoteConfigStatuses};
use prost::Message as _;

use super::*;
use crate::{
    behavior::Behavior, behavior::BehaviorShare, options::Options, units::Share, wire::answer,
    wire::content::Contents,
};

struct Agent {
    fleet: FleetProfile,
    session: Session,
    contents: Contents,
}

impl Agent {
    fn new() -> Self {
        Self::with(Behavior::default())
    }

    fn with(behavior: Behavior) -> Self {
        let endpoint = "ws://127.0.0.1:1".parse().unwrap();
        let mut options = Options::new(endpoint, 1);
        options.behaviors = vec![BehaviorShare {
            share: Share::Count(1),
            behavior,
        }];
        let fleet = FleetProfile::new(&options).unwrap();
        let session = Session::new(fleet.identity.uid(0), 5);
        Self {
            fleet,
            session,
            contents: Contents::default(),
        }
    }

    /// An agent whose first report, in full, was answered.
    fn settled(behavior: Behavior) -> Self {
        let mut agent = Self::with(behavior);
        agent.says();
        agent.hears(Answer {
            capabilities: 0x7,
            ..Answer::default()
        });
        agent
    }

    fn says(&mut self) -> AgentToServer {
        let mut out = Vec::new();
        self.session.write(&mut out, &self.fleet.agent(0), 77);
        AgentToServer::decode(out.as_slice()).unwrap()
    }

    fn hears(&mut self, answer: Answer) -> Reaction {
        self.session.receive(answer, &self.fleet.agent(0), 99)
    }

    fn is_offered(&mut self, body: &str) -> Reaction {
        let mut map = Vec::new();
        crate::wire::identity::write_single_file(&mut map, "config.yaml", body.as_bytes());
        let mut config = Vec::new();
        encode::bytes(&mut config, 1, &map);
        encode::bytes(&mut config, 2, body.as_bytes());
        let mut message = Vec::new();
        encode::bytes(&mut message, 3, &config);
        let answer = answer::read(&message, &self.contents).unwrap();
        self.hears(answer)
    }
}

#[test]
fn st_01_the_first_message_is_a_full_status_report() {
    let message = Agent::new().says();
    assert_eq!(message.instance_uid.len(), 16);
    assert!(message.agent_description.is_some() && message.effective_config.is_some());
    assert_eq!(message.health.unwrap().start_time_unix_nano, 5);
    assert!(
        message.available_components.unwrap().components.is_empty(),
        "the hash alone"
    );
    assert!(
        message.remote_config_status.is_none(),
        "nothing was offered yet"
    );
}

#[test]
fn sq_01_the_sequence_grows_by_one_with_every_message() {
    let mut agent = Agent::new();
    let numbers: Vec<u64> = (0..3).map(|_| agent.says().sequence_num).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let mut goodbye = Vec::new();
    agent.session.write_goodbye(&mut goodbye);
    assert_eq!(
        AgentToServer::decode(goodbye.as_slice())
            .unwrap()
            .sequence_num,
        4
    );
}

#[test]
fn sq_05_what_was_said_is_left_out() {
    let mut agent = Agent::settled(Behavior::default());
    let message = agent.says();
    assert!(message.agent_description.is_none() && message.health.is_none());
    assert!(message.effective_config.is_none() && message.available_components.is_none());
}

#[test]
fn cp_01_every_message_has_capabilities_with_reports_status() {
    let mut agent = Agent::new();
    for _ in 0..2 {
        assert_eq!(agent.says().capabilities, CAPABILITIES);
    }
    assert_eq!(CAPABILITIES & 1, 1);
}

#[test]
fn sq_04_a_request_for_full_state_is_answered_with_all_of_it() {
    let mut agent = Agent::settled(Behavior::default());
    agent.is_offered("a: 1\n");
    agent.says();
    agent.hears(Answer {
        flags: REPORT_FULL_STATE,
        ..Answer::default()
    });
    assert!(agent.session.owes());
    let message = agent.says();
    assert!(message.agent_description.is_some() && message.health.is_some());
    assert!(message.effective_config.is_some() && message.remote_config_status.is_some());
    assert!(!agent.session.owes());
}

#[test]
fn st_04_an_answer_that_changes_nothing_is_not_answered() {
    let mut agent = Agent::settled(Behavior::default());
    assert_eq!(
        agent.hears(Answer {
            capabilities: 0x7,
            ..Answer::default()
        }),
        Reaction::Stay
    );
    assert!(!agent.session.owes());
}

#[test]
fn co_03_the_component_list_travels_when_it_is_asked_for() {
    let mut agent = Agent::settled(Behavior::default());
    agent.hears(Answer {
        flags: REPORT_AVAILABLE_COMPONENTS,
        ..Answer::default()
    });
    let components = agent.says().available_components.unwrap();
    assert_eq!(components.components.len(), 10);
    assert!(agent.says().available_components.is_none());
}

#[test]
fn cp_06_a_server_that_takes_no_effective_config_gets_none() {
    let mut agent = Agent::new();
    agent.hears(Answer {
        capabilities: 0x1,
        ..Answer::default()
    });
    assert!(agent.says().effective_config.is_none());
    agent.hears(Answer {
        flags: REPORT_FULL_STATE,
        ..Answer::default()
    });
    let message = agent.says();
    assert!(message.health.is_some() && message.effective_config.is_none());
}

#[test]
fn cf_06_an_applied_config_is_echoed_and_becomes_the_effective_one() {
    let mut agent = Agent::settled(Behavior::default());
    assert_eq!(agent.is_offered("a: 1\n"), Reaction::Stay);
    let message = agent.says();
    let status = message.remote_config_status.unwrap();
    assert_eq!(&status.last_remote_config_hash[..], b"a: 1\n");
    assert_eq!(status.status, RemoteConfigStatuses::Applied as i32);
    let map = message
        .effective_config
        .unwrap()
        .config_map
        .unwrap()
        .config_map;
    assert_eq!(&map["config.yaml"].body[..], b"a: 1\n");
    assert_eq!(agent.session.running_hash(), b"a: 1\n");
}

#[test]
fn cf_06_a_rejected_config_is_echoed_with_its_reason_and_does_not_run() {
    let mut agent = Agent::settled(Behavior {
        reject: Some("bad pipeline".into()),
        ..Behavior::default()
    });
    agent.is_offered("a: 1\n");
    let message = agent.says();
    let status = message.remote_config_status.unwrap();
    assert_eq!(status.status, RemoteConfigStatuses::Failed as i32);
    assert_eq!(status.error_message, "bad pipeline");
    assert!(message.effective_config.is_none() && agent.session.running_hash().is_empty());
}

#[test]
fn cf_06_a_slow_agent_says_applying_first() {
    let delay = Duration::from_secs(2);
    let mut agent = Agent::settled(Behavior {
        apply_after: Some(delay),
        ..Behavior::default()
    });
    assert_eq!(agent.is_offered("a: 1\n"), Reaction::ApplyAfter(delay));
    let status = agent.says().remote_config_status.unwrap();
    assert_eq!(status.status, RemoteConfigStatuses::Applying as i32);

    let profile = agent.fleet.agent(0);
    agent.session.finish_applying(&profile);
    let status = agent.says().remote_config_status.unwrap();
    assert_eq!(status.status, RemoteConfigStatuses::Applied as i32);
}

#[test]
fn a_newer_offer_replaces_one_that_is_being_applied() {
    let delay = Duration::from_secs(2);
    let mut agent = Agent::settled(Behavior {
        apply_after: Some(delay),
        ..Behavior::default()
    });
    agent.is_offered("a: 1\n");
    agent.is_offered("a: 2\n");
    let profile = agent.fleet.agent(0);
    agent.session.finish_applying(&profile);
    assert_eq!(agent.session.running_hash(), b"a: 2\n");
}

#[test]
fn st_07_the_same_offer_again_is_neither_applied_nor_answered() {
    let mut agent = Agent::settled(Behavior::default());
    agent.is_offered("a: 1\n");
    agent.says();
    agent.is_offered("a: 1\n");
    assert!(!agent.session.owes());
}

#[test]
fn a_failed_config_that_is_offered_again_is_tried_again() {
    let mut agent = Agent::settled(Behavior {
        reject: Some("no".into()),
        ..Behavior::default()
    });
    agent.is_offered("a: 1\n");
    agent.says();
    agent.is_offered("a: 1\n");
    assert!(agent.says().remote_config_status.is_some());
}

#[test]
fn cm_02_a_restart_command_excludes_everything_else() {
    let mut agent = Agent::settled(Behavior::default());
    agent.hears(Answer {
        restart: true,
        flags: REPORT_FULL_STATE,
        ..Answer::default()
    });
    let message = agent.says();
    assert_eq!(message.health.unwrap().start_time_unix_nano, 99);
    assert!(
        message.agent_description.is_none(),
        "the flag beside a command is ignored"
    );
}

#[test]
fn id_05_a_new_uid_is_used_in_all_later_messages() {
    let mut agent = Agent::settled(Behavior::default());
    agent.hears(Answer {
        new_uid: Some([9; 16]),
        ..Answer::default()
    });
    assert_eq!(agent.says().instance_uid, vec![9; 16]);
}

#[test]
fn rt_05_a_message_that_was_a_bad_request_is_not_sent_again() {
    let mut agent = Agent::settled(Behavior::default());
    let refusal = Refusal {
        message: "what?".into(),
        unavailable: None,
    };
    let reaction = agent.hears(Answer {
        error: Some(refusal),
        ..Answer::default()
    });
    assert_eq!(reaction, Reaction::Refused("what?".into()));
    assert!(!agent.session.owes());
}

#[test]
fn rt_07_unavailable_means_leave_and_come_back_when_told() {
    let mut agent = Agent::settled(Behavior::default());
    let told = RetryAfter::Told(Duration::from_secs(3));
    let refusal = Refusal {
        message: "busy".into(),
        unavailable: Some(told),
    };
    let reaction = agent.hears(Answer {
        error: Some(refusal),
        ..Answer::default()
    });
    assert_eq!(reaction, Reaction::Leave(told));
}

#[test]
fn dc_01_the_last_message_says_so() {
    let mut agent = Agent::settled(Behavior::default());
    let mut out = Vec::new();
    agent.session.write_goodbye(&mut out);
    let message = AgentToServer::decode(out.as_slice()).unwrap();
    assert!(message.agent_disconnect.is_some());
}

#[test]
fn health_is_reported_when_it_changes_or_is_touched() {
    let mut agent = Agent::settled(Behavior::default());
    agent.session.set_failing(None);
    assert!(!agent.session.owes());
    agent.session.set_failing(Some(3));
    assert!(!agent.says().health.unwrap().healthy);
    agent.session.touch_health();
    let health = agent.says().health.unwrap();
    assert_eq!((health.healthy, health.status_time_unix_nano), (false, 77));
}

#[test]
fn an_agent_that_vanishes_keeps_its_old_config() {
    let behavior = Behavior {
        vanish: Some(Vanish::ForGood),
        ..Behavior::default()
    };
    let mut agent = Agent::settled(behavior);
    assert_eq!(
        agent.is_offered("a: 1\n"),
        Reaction::Vanish(Vanish::ForGood)
    );
    assert!(!agent.session.owes() && agent.session.running_hash().is_empty());
}

/// The lean session and the library's server session, message by message.
mod with_a_server {
    use opamp::{Limits, model::WireState, server};

    use super::*;

    struct Pair {
        agent: Agent,
        wire: WireState,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                agent: Agent::new(),
                wire: WireState::default(),
            }
        }

        fn message(&mut self) -> Vec<u8> {
            let mut out = Vec::new();
            self.agent
                .session
                .write(&mut out, &self.agent.fleet.agent(0), 77);
            out
        }

        /// One message to the server, and its answer to the agent.
        fn exchange(&mut self) -> server::Received {
            let message = self.message();
            let received = server::receive(&mut self.wire, &message, &Limits::SERVER).unwrap();
            let flags = u64::from(received.full_state_needed) * REPORT_FULL_STATE;
            self.agent.hears(Answer {
                flags,
                capabilities: 0x7,
                ..Answer::default()
            });
            received
        }
    }

    #[test]
    fn sq_03_the_first_report_leaves_nothing_to_ask_for() {
        let mut pair = Pair::new();
        let received = pair.exchange();
        assert!(!received.full_state_needed);
        assert_eq!(received.uid.as_bytes(), &pair.agent.session.uid());
        let changes = received.changes;
        assert!(changes.description.is_some() && changes.effective_config.is_some());
        assert_eq!(changes.health.unwrap().tree.unwrap().components.len(), 10);
    }

    #[test]
    fn sq_08_a_lean_reconnect_changes_nothing_and_is_no_gap() {
        let mut pair = Pair::new();
        pair.exchange();
        let received = pair.exchange();
        assert!(!received.full_state_needed);
        assert!(received.changes.is_only_liveness());
    }

    #[test]
    fn sq_02_a_message_that_was_lost_is_made_good_by_full_state() {
        let mut pair = Pair::new();
        pair.exchange();
        pair.agent.session.set_failing(Some(1));
        drop(pair.message());
        assert!(pair.exchange().full_state_needed);
        let received = pair.exchange();
        assert!(!received.full_state_needed);
        assert!(!received.changes.health.unwrap().tree.unwrap().healthy);
    }

    #[test]
    fn a_report_in_which_only_times_changed_is_seen_as_such() {
        let mut pair = Pair::new();
        pair.exchange();
        pair.agent.session.touch_health();
        let mut out = Vec::new();
        pair.agent
            .session
            .write(&mut out, &pair.agent.fleet.agent(0), 1_000);
        let received = server::receive(&mut pair.wire, &out, &Limits::SERVER).unwrap();
        assert!(
            received.changes.health.unwrap().tree.is_none(),
            "only the times"
        );
    }
}
