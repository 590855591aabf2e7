//! Identities: asked for, given, and those of others.

use std::time::Instant;

use opamp::client::Event;
use opamp::model::InstanceUid;
use opamp::proto::{self, ServerToAgent};
use opamp::server::Reply;

use super::{BEATING, SERVER, parts};
use crate::support::{
    REPORTING, SECOND, UID, addressed, give, give_raw, remote_config, sent, settled,
};

#[test]
fn id_05_a_new_identity_is_used_in_all_later_messages() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let new = InstanceUid::new([8; 16]);
    let events = give(&mut session, Reply::to(UID, SERVER).new_uid(new), now).events;
    assert_eq!(events, [Event::UidChanged { old: UID, new }]);
    let message = sent(&mut session, now);
    assert_eq!(message.instance_uid, new.as_bytes());
    assert_eq!(message.sequence_num, 1, "the numbers go on");
    assert_eq!(
        parts(&message),
        ["agent_description"],
        "the new identity is described"
    );
    assert_eq!(
        give_raw(&mut session, &addressed(), now).events,
        [],
        "the old address is still ours"
    );

    let newer = InstanceUid::new([9; 16]);
    give(&mut session, Reply::to(new, SERVER).new_uid(newer), now);
    assert_eq!(
        (session.uid(), session.poll_send(now)),
        (newer, None),
        "no race with a server that goes on renaming"
    );
}

#[test]
fn id_04_an_identity_of_another_length_changes_nothing() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let message = ServerToAgent {
        agent_identification: Some(proto::AgentIdentification {
            new_instance_uid: vec![1; 15],
        }),
        ..addressed()
    };
    assert_eq!(give_raw(&mut session, &message, now).events, []);
    assert_eq!(session.uid(), UID);
}

#[test]
fn id_03_an_identity_is_requested_until_one_is_given() {
    let now = Instant::now();
    let mut session = settled(BEATING, SERVER, now);
    session.request_uid();
    assert_eq!(sent(&mut session, now).flags, 1);
    assert_eq!(sent(&mut session, now + 30 * SECOND).flags, 1);
    give(
        &mut session,
        Reply::to(UID, SERVER).new_uid(InstanceUid::new([8; 16])),
        now,
    );
    assert_eq!(sent(&mut session, now + 31 * SECOND).flags, 0);
}

#[test]
fn tr_05_messages_for_other_agents_on_the_connection_are_not_ours() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let other = ServerToAgent {
        instance_uid: vec![9; 16],
        remote_config: Some(remote_config("a: 1", b"h")),
        ..ServerToAgent::default()
    };
    assert_eq!(give_raw(&mut session, &other, now).events, []);
    let unaddressed = ServerToAgent {
        instance_uid: vec![],
        ..other
    };
    assert_eq!(give_raw(&mut session, &unaddressed, now).events.len(), 1);
}
