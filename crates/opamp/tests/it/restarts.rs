//! Numbers that go on by chance where those of another process ended: of the agent's, or of the server's.

use std::time::Instant;

use opamp::client::Mode;
use opamp::model::{ServerCapabilities, WireState};
use opamp::server::Reply;

use crate::support::{REPORTING, UID, described, give, known, message, receive, sent, session};

#[test]
fn st_02_a_report_that_nobody_answered_is_made_in_full_again() {
    let now = Instant::now();
    let mut session = session(REPORTING, now);
    assert!(sent(&mut session, now).agent_description.is_some());
    session.disconnected();

    // A server that knows an earlier process of this agent up to number 0 would see no gap here.
    session.connected(Mode::Stream, now);
    let again = sent(&mut session, now);
    assert_eq!(again.sequence_num, 1);
    assert!(again.agent_description.is_some());
    assert_eq!(session.poll_send(now), None, "once on each connection");

    give(&mut session, Reply::to(UID, ServerCapabilities::ALL), now);
    session.disconnected();
    session.connected(Mode::Stream, now);
    assert!(sent(&mut session, now).agent_description.is_none());
}

#[test]
fn sq_02_the_number_of_the_last_message_with_other_content_is_a_gap() {
    let mut wire = known();
    let mut other = described(1);
    other.agent_description = message(1).agent_description;
    let description = other.agent_description.get_or_insert_default();
    description.identifying_attributes.clear();
    assert!(receive(&mut wire, &other).unwrap().full_state_needed);
    assert!(
        !receive(&mut wire, &described(2)).unwrap().full_state_needed,
        "a full report answers it"
    );
}

#[test]
fn sq_03_after_a_servers_crash_low_numbers_are_not_trusted() {
    for (number, is_asked) in [
        (0, true),
        (WireState::LOW_NUMBERS - 1, true),
        (WireState::LOW_NUMBERS, false),
    ] {
        let mut wire = WireState {
            sequence_num: Some(number),
            ..known()
        };
        wire.restored();
        let received = receive(&mut wire, &message(number + 1)).unwrap();
        assert_eq!(received.full_state_needed, is_asked, "after {number}");
        let answer = receive(&mut wire, &described(number + 2)).unwrap();
        assert!(!answer.full_state_needed, "asked once");
        assert!(!wire.stale);
    }
}
