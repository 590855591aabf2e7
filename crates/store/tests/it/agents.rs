//! Agents' reports, as they are stored and read back.

use domain::model::{
    ApplyState, AvailableComponents, ComponentDetails, ConfigFile, ConfigMap,
    ConnectionSettingsStatus, CustomCapabilities, PackageStatuses,
};
use domain::{AgentId, Answered, ConfigState, Epoch, EventKind, ReportedHash};
use store::agents::{self, AgentReport, Attachment, AttachmentChange, NewAgent};
use store::testing::{TestDb, at};

use crate::fixture::*;

fn full_report(n: u32) -> AgentReport {
    let config = ConfigMap::from([(
        "".to_owned(),
        ConfigFile::new("receivers: {}\n", "text/yaml"),
    )]);
    let components = [("receivers".to_owned(), ComponentDetails::default())].into();
    let full = with_health(
        true,
        with_labels(&[("env", "prod"), ("region", "us")], new_agent(n)),
    );
    AgentReport {
        capabilities: Some(capable()),
        credential_labels: Some(labels(&[("team", "a")])),
        effective_config: Some(config),
        remote_config_status: Some(answered(&hash(1), ApplyState::Failed)),
        package_statuses: Some(PackageStatuses {
            error: "none".into(),
            ..PackageStatuses::default()
        }),
        custom_capabilities: Some(CustomCapabilities(vec!["io.example".into()])),
        available_components: Some(AvailableComponents {
            hash: vec![1, 2],
            components: Some(components),
        }),
        connection_settings_status: Some(ConnectionSettingsStatus {
            last_hash: vec![3],
            state: ApplyState::Applied,
            error: String::new(),
        }),
        offered: Some(offered(hash(1))),
        desired: Some(Some(hash(1))),
        wire: Some(Box::from([1, 2, 3])),
        events: vec![
            event(n, 0, EventKind::AgentCreated),
            event(n, 0, EventKind::AgentConnected),
        ],
        ..full
    }
}

pub(crate) async fn a_new_agent_is_found_with_all_it_reported(t: &TestDb) {
    let report = full_report(1);
    let applied = apply(t, std::slice::from_ref(&report)).await;
    assert_eq!(applied.stale, []);
    assert_eq!(applied.last_event.map(|id| id.0), Some(2));

    let found = detail(t, 1).await;
    assert_eq!(found.summary.uid, uid(1));
    assert_eq!(
        found.summary.labels,
        labels(&[("env", "prod"), ("region", "us"), ("team", "a")])
    );
    assert_eq!(found.labels.credential, labels(&[("team", "a")]));
    assert_eq!(found.summary.capabilities, capable());
    assert!(found.summary.connected);
    assert_eq!(found.summary.attachment, Some(attachment("node-1")));
    assert_eq!(
        (found.summary.healthy, &*found.summary.health_status),
        (Some(true), "StatusOK")
    );
    assert_eq!(found.health, Some(health(true, 1)));
    assert_eq!(found.description, report.description);
    assert_eq!(found.effective_config, report.effective_config);
    assert_eq!(
        found.summary.remote_config_status,
        report.remote_config_status
    );
    assert_eq!(found.summary.config_state, ConfigState::Failed);
    assert_eq!(found.summary.offered, report.offered);
    assert_eq!(found.summary.desired, Some(hash(1)));
    assert_eq!(found.package_statuses, report.package_statuses);
    assert_eq!(found.custom_capabilities, report.custom_capabilities);
    assert_eq!(found.available_components, report.available_components);
    assert_eq!(
        found.connection_settings_status,
        report.connection_settings_status
    );
    assert_eq!(
        (found.summary.created_at, found.summary.last_seen),
        (at(0), at(0))
    );

    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        agents::find_by_uid(&mut conn, &ns(), &uid(1))
            .await
            .unwrap(),
        Some(agent_id(1))
    );
    assert_eq!(
        agents::find_by_uid(&mut conn, &other_ns(), &uid(1))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        agents::find(&mut conn, &other_ns(), agent_id(1))
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn an_older_attachment_never_overwrites_a_newer_one(t: &TestDb) {
    apply(t, &[with_health(true, new_agent(1)), new_agent(2)]).await;
    let newer = AgentReport {
        epoch: Epoch(5),
        attachment: Some(AttachmentChange::Attached(attachment("node-2"))),
        ..report(1, 10)
    };
    apply(t, &[newer]).await;
    let gone = AttachmentChange::Detached {
        at: at(11),
        reason: "closed".into(),
    };
    let late = AgentReport {
        attachment: Some(gone),
        ..with_health(false, report(1, 11))
    };
    let applied = apply(t, &[late, with_health(false, report(2, 11))]).await;
    assert_eq!(applied.stale, [agent_id(1)]);
    let found = detail(t, 1).await.summary;
    assert_eq!((found.connected, found.healthy), (true, Some(true)));
    assert_eq!(found.attachment.unwrap().node.as_str(), "node-2");
    assert_eq!(detail(t, 2).await.summary.healthy, Some(false));
}

pub(crate) async fn a_report_of_an_agent_that_is_gone_is_stale(t: &TestDb) {
    let applied = apply(t, &[with_health(true, report(1, 1))]).await;
    assert_eq!(applied.stale, [agent_id(1)]);
    let with_event = AgentReport {
        events: vec![event(1, 1, EventKind::AgentHealthy)],
        ..report(1, 1)
    };
    assert_eq!(apply(t, &[with_event]).await.last_event, None);
}

pub(crate) async fn several_reports_of_one_agent_count_in_their_order(t: &TestDb) {
    let desired = |n: u8| AgentReport {
        desired: Some(Some(hash(n))),
        ..report(1, n.into())
    };
    let event = AgentReport {
        events: vec![event(1, 2, EventKind::AgentHealthy)],
        ..report(1, 2)
    };
    let batch = [
        new_agent(1),
        desired(1),
        with_health(false, report(1, 1)),
        event,
        desired(2),
    ];
    let applied = apply(t, &batch).await;
    assert_eq!(applied.last_event.map(|id| id.0), Some(1));
    let found = detail(t, 1).await.summary;
    assert_eq!(
        (found.desired, found.healthy, found.connected),
        (Some(hash(2)), Some(false), true)
    );
}

pub(crate) async fn what_a_report_leaves_out_stays_as_it_was(t: &TestDb) {
    apply(t, &[full_report(1)]).await;
    let before = detail(t, 1).await;
    apply(t, &[report(1, 9)]).await;
    assert_eq!(detail(t, 1).await, before);
    apply(
        t,
        &[AgentReport {
            desired: Some(None),
            ..report(1, 9)
        }],
    )
    .await;
    let after = detail(t, 1).await;
    assert_eq!(
        (after.summary.desired, after.summary.config_state),
        (None, ConfigState::Unassigned)
    );
    assert_eq!(
        after.summary.remote_config_status,
        before.summary.remote_config_status
    );
}

pub(crate) async fn a_thousand_agents_are_one_batch(t: &TestDb) {
    let batch: Vec<AgentReport> = (0..1000).rev().map(full_report).collect();
    let applied = apply(t, &batch).await;
    assert_eq!(applied.stale, []);
    assert_eq!(applied.last_event.map(|id| id.0), Some(2000));
    for n in [0, 1, 127, 128, 999] {
        assert_eq!(detail(t, n).await.health, Some(health(true, 1)), "{n}");
    }
}

pub(crate) async fn the_same_batch_again_changes_nothing(t: &TestDb) {
    let batch = [AgentReport {
        events: vec![],
        ..full_report(1)
    }];
    apply(t, &batch).await;
    let before = detail(t, 1).await;
    assert_eq!(apply(t, &batch).await.stale, []);
    assert_eq!(detail(t, 1).await, before);
}

pub(crate) async fn a_uid_that_another_agent_has_is_left_alone(t: &TestDb) {
    apply(t, &[new_agent(1), new_agent(2)]).await;
    let taken = AgentReport {
        uid: Some(uid(2)),
        ..with_health(true, report(1, 1))
    };
    assert_eq!(apply(t, &[taken]).await.stale, []);
    let found = detail(t, 1).await.summary;
    assert_eq!((found.uid, found.healthy), (uid(1), Some(true)));

    // Another node made the same agent first: this node's own is refused, and the batch goes on.
    let twin = AgentReport {
        created: Some(NewAgent {
            uid: uid(1),
            approval: Default::default(),
        }),
        ..new_agent(3)
    };
    let applied = apply(t, &[twin, new_agent(4)]).await;
    assert_eq!(applied.stale, [agent_id(3)]);
    assert!(detail(t, 4).await.summary.connected);
}

pub(crate) async fn a_new_uid_is_found(t: &TestDb) {
    apply(t, &[with_labels(&[("env", "prod")], new_agent(1))]).await;
    apply(
        t,
        &[AgentReport {
            uid: Some(uid(77)),
            ..report(1, 1)
        }],
    )
    .await;
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        agents::find_by_uid(&mut conn, &ns(), &uid(77))
            .await
            .unwrap(),
        Some(agent_id(1))
    );
    assert_eq!(
        agents::find_by_uid(&mut conn, &ns(), &uid(1))
            .await
            .unwrap(),
        None
    );
    let history = agents::history(&mut conn, &ns(), agent_id(1), None, 10)
        .await
        .unwrap();
    let [change] = &*history else {
        panic!("one change: {history:?}")
    };
    assert_eq!(
        (&*change.what, change.new.as_deref()),
        ("uid", Some(&*uid(77).to_string()))
    );
    let by_uid = agents::ListAgents {
        text: Some(uid(77).to_string()),
        ..agents::ListAgents::all(ns())
    };
    assert_eq!(
        agents::list(&mut conn, &by_uid).await.unwrap().items.len(),
        1
    );
}

pub(crate) async fn components_stay_while_their_hash_stays(t: &TestDb) {
    apply(t, &[full_report(1)]).await;
    let inventory = |hash: u8| {
        Some(AvailableComponents {
            hash: vec![1, hash],
            components: None,
        })
    };
    let known = detail(t, 1).await.available_components;
    assert!(
        known
            .as_ref()
            .is_some_and(|known| known.components.is_some())
    );
    apply(
        t,
        &[AgentReport {
            available_components: inventory(2),
            ..report(1, 1)
        }],
    )
    .await;
    assert_eq!(detail(t, 1).await.available_components, known);
    apply(
        t,
        &[AgentReport {
            available_components: inventory(3),
            ..report(1, 1)
        }],
    )
    .await;
    assert_eq!(detail(t, 1).await.available_components, inventory(3));
}

pub(crate) async fn text_with_nul_is_stored(t: &TestDb) {
    let mut bad = with_labels(&[("a\0b", "c\0d")], with_health(false, new_agent(1)));
    bad.health.as_mut().unwrap().tree.last_error = "nul: \0".into();
    let mut status = answered(&hash(1), ApplyState::Failed);
    status.error = "nul: \0".into();
    bad.remote_config_status = Some(status);
    assert_eq!(apply(t, &[bad]).await.stale, []);
    let found = detail(t, 1).await;
    assert_eq!(found.summary.last_error, "nul: \0");
    assert_eq!(
        found.summary.remote_config_status.unwrap().error,
        "nul: \u{FFFD}"
    );
    assert_eq!(found.labels.reported.get("a\0b"), Some("c\0d"));
}

pub(crate) async fn preload_gives_every_agent_once(t: &TestDb) {
    let elsewhere = |n: u32| AgentReport {
        namespace: other_ns(),
        ..new_agent(n)
    };
    let batch: Vec<AgentReport> = (0..40)
        .map(new_agent)
        .chain((40..60).map(elsewhere))
        .collect();
    apply(t, &batch).await;
    let mut conn = t.db.read().await.unwrap();
    let all = agents::load_all(&mut conn).await.unwrap();
    let mut paged = Vec::new();
    loop {
        let after = paged
            .last()
            .map(|last: &agents::StoredAgent| (last.namespace.clone(), last.id));
        let page = agents::load_page(&mut conn, after.as_ref().map(|(ns, id)| (ns, *id)), 7)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let mut ids: Vec<AgentId> = all.iter().map(|agent| agent.id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq((0..60).map(agent_id)));
}

pub(crate) async fn preload_gives_what_a_restart_needs(t: &TestDb) {
    apply(t, &[full_report(1)]).await;
    let loaded = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    let [agent] = &*loaded else {
        panic!("one agent")
    };
    assert_eq!(
        (agent.uid, agent.epoch, agent.connected),
        (uid(1), Epoch(1), true)
    );
    assert_eq!(
        agent.labels.effective(),
        labels(&[("env", "prod"), ("region", "us"), ("team", "a")])
    );
    assert_eq!(agent.wire.as_deref(), Some(&[1, 2, 3][..]));
    let expected = Answered {
        hash: ReportedHash::new(*hash(1).as_bytes()),
        state: ApplyState::Failed,
    };
    assert_eq!(agent.answered, Some(expected));
    assert_eq!(
        (agent.desired, agent.offered),
        (Some(hash(1)), Some(offered(hash(1))))
    );
    assert_eq!((agent.healthy, agent.start_time_unix_nano), (Some(true), 1));
    assert_eq!((agent.capabilities, agent.last_seen), (capable(), at(0)));
}

pub(crate) async fn an_agent_that_comes_and_goes_is_shown_so(t: &TestDb) {
    apply(t, &[new_agent(1)]).await;
    let gone = AttachmentChange::Detached {
        at: at(20),
        reason: "silent".into(),
    };
    apply(
        t,
        &[AgentReport {
            attachment: Some(gone),
            ..report(1, 20)
        }],
    )
    .await;
    let found = detail(t, 1).await.summary;
    assert_eq!(
        (found.connected, found.detached),
        (false, Some((at(20), "silent".to_owned())))
    );
    let back = Attachment {
        transport: "grpc".into(),
        ..attachment("node-2")
    };
    let back = AttachmentChange::Attached(back);
    apply(
        t,
        &[AgentReport {
            epoch: Epoch(2),
            attachment: Some(back),
            ..report(1, 30)
        }],
    )
    .await;
    let found = detail(t, 1).await.summary;
    assert_eq!((found.connected, found.detached), (true, None));
    assert_eq!(found.attachment.unwrap().transport, "grpc");
}

pub(crate) async fn a_node_that_ends_detaches_its_agents(t: &TestDb) {
    let elsewhere = AttachmentChange::Attached(attachment("node-2"));
    apply(
        t,
        &[
            new_agent(1),
            new_agent(2),
            AgentReport {
                attachment: Some(elsewhere),
                ..new_agent(3)
            },
        ],
    )
    .await;
    let node = domain::NodeName::new("node-1");
    let detached = commit!(t, |tx| agents::detach_node(
        &mut tx,
        &node,
        at(9),
        "server restarted"
    )
    .await
    .unwrap());
    assert_eq!(detached, 2);
    let found = detail(t, 1).await.summary;
    assert_eq!(
        (found.connected, found.detached),
        (false, Some((at(9), "server restarted".to_owned())))
    );
    assert!(detail(t, 3).await.summary.connected);
}

pub(crate) async fn a_restored_database_has_nobody_attached_and_no_session(t: &TestDb) {
    let said = AgentReport {
        wire: Some(Box::from([7_u8; 8])),
        offered: Some(offered(hash(1))),
        ..new_agent(1)
    };
    let elsewhere = AttachmentChange::Attached(attachment("node-2"));
    let other = AgentReport {
        attachment: Some(elsewhere),
        ..new_agent(2)
    };
    apply(t, &[said, other]).await;
    let loaded = async || {
        agents::load_all(&mut t.db.read().await.unwrap())
            .await
            .unwrap()
    };
    assert!(
        loaded()
            .await
            .iter()
            .any(|agent| agent.wire.is_some() && agent.offered.is_some())
    );
    commit!(t, |tx| agents::forget_sessions(&mut tx, at(9), "restored")
        .await
        .unwrap());
    let sessions = loaded().await;
    assert!(
        sessions
            .iter()
            .all(|agent| agent.wire.is_none() && agent.offered.is_none())
    );
    for n in [1, 2] {
        let found = detail(t, n).await.summary;
        assert_eq!(found.detached, Some((at(9), "restored".to_owned())));
    }
}

pub(crate) async fn two_namespaces_share_a_uid(t: &TestDb) {
    let twin = AgentReport {
        namespace: other_ns(),
        created: Some(NewAgent {
            uid: uid(1),
            approval: Default::default(),
        }),
        ..new_agent(2)
    };
    assert_eq!(apply(t, &[new_agent(1), twin]).await.stale, []);
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        agents::find_by_uid(&mut conn, &other_ns(), &uid(1))
            .await
            .unwrap(),
        Some(agent_id(2))
    );
}
