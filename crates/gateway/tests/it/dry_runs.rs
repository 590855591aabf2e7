//! A dry run over a socket: what the agent is sent, and what of its answer counts.

use engine::{DryRun, DryRunOrder, Verdict, admin::Caller};
use opamp::{
    Limits, dry_run,
    model::{DRY_RUN, DryRunAnswer, DryRunOutcome, DryRunQuestion},
    proto::{AgentToServer, CustomCapabilities, CustomMessage, ServerToAgent},
};

use crate::{
    peers::{Http, Peer, full_report, heartbeat, uid},
    plane::{PATIENCE, Plane, epoch, revision},
};

const BODY: &str = "receivers: {otlp: {}}\nexporters: {debug: {}}\n\
    service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

/// What agents say that are asked whether they would take the body.
async fn ask(plane: &Plane) -> Vec<DryRun> {
    let mut change = plane.engine.begin_change(epoch()).await.unwrap();
    change.set_baseline(revision(BODY.as_bytes()));
    let mut groups = change.preview(epoch()).await.unwrap();
    drop(change);
    let order = DryRunOrder {
        agents_per_group: 5,
        timeout: PATIENCE,
    };
    let caller = Caller::anonymous();
    plane.engine.dry_run(&caller, &mut groups, order).await;
    groups
        .into_iter()
        .flat_map(|group| group.dry_runs)
        .collect()
}

fn able(report: AgentToServer) -> AgentToServer {
    AgentToServer {
        custom_capabilities: Some(CustomCapabilities {
            capabilities: vec![DRY_RUN.to_owned()],
        }),
        ..report
    }
}

fn question(message: ServerToAgent) -> DryRunQuestion {
    let announced = message.custom_capabilities.unwrap().capabilities;
    let has = announced.contains(&DRY_RUN.to_owned());
    assert!(has, "cu_03: both sides have it");
    let message = message.custom_message.unwrap().into();
    dry_run::read_question(&message, &Limits::CLIENT)
        .unwrap()
        .unwrap()
}

fn answer(question: &DryRunQuestion, outcome: DryRunOutcome) -> CustomMessage {
    CustomMessage::from(&dry_run::answer(&DryRunAnswer {
        id: question.id,
        hash: question.hash.clone(),
        outcome,
    }))
}

fn saying(sequence_num: u64, message: CustomMessage) -> AgentToServer {
    AgentToServer {
        custom_message: Some(message),
        ..heartbeat(uid(1), sequence_num)
    }
}

#[tokio::test]
async fn an_agent_is_sent_the_candidate_and_its_answer_is_taken() {
    let plane = Plane::start().await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let greeting = peer.say(able(full_report(uid(1), 1))).await;
    assert_eq!(greeting.custom_capabilities, None);
    let (told, ()) = tokio::join!(ask(&plane), async {
        let pushed = peer.receive().await;
        assert_eq!(pushed.remote_config, None);
        let asked = question(pushed);
        assert_eq!(asked.config["config.yaml"].body, BODY.as_bytes());
        assert_eq!(asked.hash, trust::sha256(BODY.as_bytes()));
        let garbage = CustomMessage {
            data: vec![0xff; 9],
            ..answer(&asked, DryRunOutcome::Accepted)
        };
        let reply = peer.say(saying(2, garbage)).await;
        assert_eq!(reply.error_response, None, "it is passed over");
        let refusal = DryRunOutcome::Refused("no receiver".to_owned());
        peer.say(saying(3, answer(&asked, refusal))).await;
    });
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(told.agent, plane.agent(uid(1)));
    assert_eq!(told.verdict, Verdict::Refused("no receiver".to_owned()));
    assert_eq!(plane.offered(uid(1)), None);
}

#[tokio::test]
async fn an_agent_that_polls_is_asked_with_the_answer_to_its_poll() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    http.post_message(&able(full_report(uid(1), 1))).await;
    let (told, ()) = tokio::join!(ask(&plane), async {
        let mut sequence_num = 2;
        let polled = loop {
            let beat = heartbeat(uid(1), sequence_num);
            let polled = http.post_message(&beat).await.message();
            sequence_num += 1;
            if polled.custom_message.is_some() {
                break polled;
            }
        };
        let accepted = answer(&question(polled), DryRunOutcome::Accepted);
        http.post_message(&saying(sequence_num, accepted)).await;
    });
    assert_eq!(told[0].verdict, Verdict::Accepted);
}
