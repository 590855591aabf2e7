//! The kinds of faults: how each is put into a configuration, and what must be said about it.

use otelcol::{Code, Severity, Signal, Value};

use super::draft::{Draft, component_type, entries};

/// A kind of fault.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) expected: Expected,
    /// Whether the Collector's verdict says something about it.
    pub(super) is_judged: bool,
    /// The text with the fault in it, where it fits.
    pub(super) inject: fn(Draft) -> Option<String>,
}

/// What must be said about a fault.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// One finding more of this code than before.
    Code(Code),
    /// That the text cannot be read.
    Unreadable,
}

impl Kind {
    /// None where the text cannot be read.
    pub(super) fn code(&self) -> Option<Code> {
        match self.expected {
            Expected::Code(code) => Some(code),
            Expected::Unreadable => None,
        }
    }

    pub(super) fn is_error(&self) -> bool {
        match self.expected {
            Expected::Code(code) => code.severity() == Severity::Error,
            Expected::Unreadable => true,
        }
    }
}

const fn kind(code: Code, name: &'static str, inject: fn(Draft) -> Option<String>) -> Kind {
    Kind {
        name,
        expected: Expected::Code(code),
        is_judged: true,
        inject,
    }
}

const fn unreadable(name: &'static str, inject: fn(Draft) -> Option<String>) -> Kind {
    Kind {
        name,
        expected: Expected::Unreadable,
        is_judged: true,
        inject,
    }
}

/// The Collector takes profiles with a feature gate, and is run without it.
const fn not_judged(kind: Kind) -> Kind {
    Kind {
        is_judged: false,
        ..kind
    }
}

/// Settings of components that are in no build here, as their users write them: each has a secret in it.
const SECRETS: [&str; 40] = [
    "{api: {key: 0123456789abcdef, site: datadoghq.example}}",
    "{token: 00000000-0000, endpoint: 'https://splunk.example:8088', index: main}",
    "{auth: {sasl: {mechanism: PLAIN, username: u, password: opensesame}}}",
    "{auth: {plain_text: {username: u, password: opensesame}}}",
    "{endpoints: ['https://es.example'], api_key: abcdefgh}",
    "{endpoint: 'https://es.example', user: elastic, password: opensesame}",
    "{client_id: c, client_secret: opensesame, token_url: 'https://id.example/token'}",
    "{connection_string: 'InstrumentationKey=1;IngestionEndpoint=https://a.example/'}",
    "{instrumentation_key: 00000000-0000}",
    "{account_token: abcdefgh, region: us}",
    "{private_key: abcdefgh, domain: coralogix.example}",
    "{version: v2c, community: hidden, endpoint: 'udp://10.0.0.1:161'}",
    "{version: v3, user: u, auth_type: SHA, auth_password: opensesame, privacy_password: opensesame}",
    "{driver: postgres, datasource: 'host=db user=u password=opensesame'}",
    "{datasource: 'oracle://u:opensesame@db.example:1521/XE'}",
    "{access_token: abcdefgh, realm: us0}",
    "{installation_token: abcdefgh}",
    "{api_token: abcdefgh, endpoint: 'https://d.example'}",
    "{access_key_id: AKIA, access_key_secret: abcdefgh, project: p}",
    "{secret_id: i, secret_key: abcdefgh}",
    "{dsn: 'https://abcdefgh@sentry.example/1'}",
    "{endpoint: 'tcp://ch.example:9000?username=u&password=opensesame'}",
    "{endpoint: 'mongodb://u:opensesame@db.example:27017'}",
    "{url: 'amqp://u:opensesame@mq.example:5672/'}",
    "{headers: {X-Insert-Key: abcdefgh}}",
    "{headers: {DD-API-KEY: abcdefgh}}",
    "{headers: [{name: Authorization, value: 'Basic dTpw'}]}",
    "{http: {headers: {Cookie: session=abcdefgh}}}",
    "{bearer_token: abcdefgh}",
    "{tls: {key_pem: '-----BEGIN PRIVATE KEY-----abc'}}",
    "{ingest_url: 'https://i.example', license_key: abcdefgh}",
    "{write_key: abcdefgh, dataset: d}",
    "{basic_auth: {username: u, password: opensesame}}",
    "{config: {scrape_configs: [{job_name: j, basic_auth: {username: u, password: opensesame}}]}}",
    "{config: {scrape_configs: [{job_name: j, authorization: {credentials: abcdefgh}}]}}",
    "{sas_token: 'sv=2020&sig=abcdefgh', container: c}",
    "{connection: 'Endpoint=sb://n.example/;SharedAccessKeyName=k;SharedAccessKey=abcdefgh'}",
    "{shared_secret: abcdefgh}",
    "{passphrase: opensesame, key_file: /k.pem}",
    "{webhook: {required_header: {key: X-Token, value: abcdefgh}}}",
];

/// The same for telemetry that leaves the machine in clear text, or to whoever answers.
const CLEAR: [&str; 12] = [
    "{endpoints: ['http://es-1.example:9200', 'http://es-2.example:9200']}",
    "{endpoint: 'http://mimir.example/api/v1/push'}",
    "{endpoint: 'http://zipkin.example:9411/api/v2/spans', format: proto}",
    "{url: 'http://influx.example:8086', org: o}",
    "{endpoint: 'https://splunk.example:8088', tls: {insecure_skip_verify: true}}",
    "{traces_endpoint: 'http://t.example/v1/traces'}",
    "{server: {ws: {endpoint: 'ws://control.example/v1/opamp'}}}",
    "{server: {http: {endpoint: 'http://control.example/v1/opamp'}}}",
    "{otlp: {endpoint: 'a.example:4317', tls: {insecure: true}}}",
    "{protocol: {otlp: {tls: {insecure: true}}}, resolver: {static: {hostnames: ['a.example:4317']}}}",
    "{logs: {endpoint: 'http://l.example'}, metrics: {endpoint: 'https://m.example'}}",
    "{hec_url: 'http://s.example/services/collector'}",
];

pub(super) const KINDS: &[Kind] = &[
    kind(
        Code::UnknownKey,
        "a section of another name",
        |mut draft| {
            draft.root().insert("exporter".to_owned(), Value::Null);
            Some(draft.text())
        },
    ),
    kind(Code::UnknownKey, "a key of service", |mut draft| {
        draft.service().insert("pipeline".to_owned(), Value::Null);
        Some(draft.text())
    }),
    kind(Code::UnknownKey, "a key of a pipeline", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        draft
            .pipeline(&pipeline)
            .insert("processor".to_owned(), Value::List(vec![]));
        Some(draft.text())
    }),
    kind(
        Code::WrongKind,
        "a section as a list of ids",
        |mut draft| {
            let ids = draft.ids("exporters");
            draft.root().insert("exporters".to_owned(), ids.into());
            Some(draft.text())
        },
    ),
    kind(Code::WrongKind, "one id in place of a list", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        let first = draft.uses(&pipeline, "exporters").into_iter().next()?;
        draft
            .pipeline(&pipeline)
            .insert("exporters".to_owned(), first.into());
        Some(draft.text())
    }),
    kind(Code::WrongKind, "pipelines as a list", |mut draft| {
        let ids = draft.all_pipelines();
        draft.service().insert("pipelines".to_owned(), ids.into());
        Some(draft.text())
    }),
    kind(Code::WrongKind, "settings among the ids", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        let mut ids: Vec<Value> = draft
            .uses(&pipeline, "receivers")
            .into_iter()
            .map(Value::Str)
            .collect();
        ids.push(Value::map([("otlp", Value::Null)]));
        draft
            .pipeline(&pipeline)
            .insert("receivers".to_owned(), Value::List(ids));
        Some(draft.text())
    }),
    kind(Code::BadId, "no name behind the slash", |mut draft| {
        let id = draft.some_used("exporters")?;
        draft.rename("exporters", &id, &format!("{}/", component_type(&id)));
        Some(draft.text())
    }),
    kind(Code::BadId, "a hyphen in a type", |mut draft| {
        let id = draft.some_used("receivers")?;
        draft.rename("receivers", &id, &format!("my-{id}"));
        Some(draft.text())
    }),
    kind(Code::BadId, "a blank in a name", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        draft.push_use(&pipeline, "exporters", "debug/a b");
        Some(draft.text())
    }),
    kind(Code::BadId, "a pipeline of no signal", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        let settings = draft.pipelines().remove(&pipeline)?;
        draft.pipelines().insert("spans".to_owned(), settings);
        Some(draft.text())
    }),
    kind(
        Code::SameId,
        "a component again with blanks",
        |mut draft| {
            let id = draft.some_used("receivers")?;
            let settings = draft.section("receivers").get(&id)?.clone();
            draft
                .section("receivers")
                .insert(format!("{id} "), settings);
            Some(draft.text())
        },
    ),
    kind(Code::SameId, "a pipeline again with blanks", |mut draft| {
        let id = draft.some_pipeline()?;
        let settings = draft.pipelines().get(&id)?.clone();
        draft.pipelines().insert(format!("{id}  "), settings);
        Some(draft.text())
    }),
    kind(Code::NothingToRun, "no receivers", |mut draft| {
        draft.root().remove("receivers");
        Some(draft.text())
    }),
    kind(Code::NothingToRun, "no exporters", |mut draft| {
        draft.root().insert("exporters".to_owned(), Value::Null);
        Some(draft.text())
    }),
    kind(Code::NothingToRun, "no pipelines", |mut draft| {
        draft.pipelines().clear();
        Some(draft.text())
    }),
    kind(Code::EmptyPipeline, "an empty list", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        draft.set_uses(&pipeline, "receivers", vec![]);
        Some(draft.text())
    }),
    kind(Code::EmptyPipeline, "no list", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        draft.pipeline(&pipeline).remove("exporters");
        Some(draft.text())
    }),
    kind(Code::UndefinedComponent, "a receiver is gone", |draft| {
        gone(draft, "receivers")
    }),
    kind(Code::UndefinedComponent, "a processor is gone", |draft| {
        gone(draft, "processors")
    }),
    kind(Code::UndefinedComponent, "an exporter is gone", |draft| {
        gone(draft, "exporters")
    }),
    kind(
        Code::UndefinedComponent,
        "a connector is gone",
        |mut draft| {
            let ids = draft.ids("connectors");
            let used: Vec<String> = draft
                .all_pipelines()
                .iter()
                .flat_map(|id| draft.uses(id, "exporters"))
                .collect();
            let id = ids.into_iter().find(|id| used.contains(id))?;
            draft.section("connectors").remove(&id);
            Some(draft.text())
        },
    ),
    kind(
        Code::UndefinedComponent,
        "an extension is gone",
        |mut draft| {
            let ids = draft.extensions();
            let id = draft.some(&ids)?;
            draft.section("extensions").remove(&id);
            Some(draft.text())
        },
    ),
    kind(
        Code::UndefinedComponent,
        "an id is misspelled",
        |mut draft| {
            let pipeline = draft.some_pipeline()?;
            let mut ids = draft.uses(&pipeline, "exporters");
            ids.first_mut()?.push('x');
            draft.set_uses(&pipeline, "exporters", ids);
            Some(draft.text())
        },
    ),
    kind(
        Code::UndefinedComponent,
        "an exporter as a processor",
        |mut draft| {
            let pipeline = draft.some_pipeline()?;
            let id = draft.some_used("exporters")?;
            draft.push_use(&pipeline, "processors", &id);
            Some(draft.text())
        },
    ),
    kind(Code::RepeatedProcessor, "a processor again", |mut draft| {
        let pipeline = draft.pipeline_with_processors(1)?;
        let ids = draft.uses(&pipeline, "processors");
        let id = draft.some(&ids)?;
        draft.push_use(&pipeline, "processors", &id);
        Some(draft.text())
    }),
    kind(
        Code::AmbiguousId,
        "a connector with a receiver's id",
        |mut draft| {
            let id = draft.some_used("receivers")?;
            draft.define("connectors", &id, "{}");
            Some(draft.text())
        },
    ),
    kind(
        Code::AmbiguousId,
        "an exporter with a connector's id",
        |mut draft| {
            let ids = draft.ids("connectors");
            let id = draft.some(&ids)?;
            draft.define("exporters", &id, "{}");
            Some(draft.text())
        },
    ),
    kind(Code::UnknownComponent, "a receiver of no build", |draft| {
        of_no_build(draft, "receivers")
    }),
    kind(Code::UnknownComponent, "a processor of no build", |draft| {
        of_no_build(draft, "processors")
    }),
    kind(Code::UnknownComponent, "an exporter of no build", |draft| {
        of_no_build(draft, "exporters")
    }),
    kind(
        Code::UnknownComponent,
        "an unused extension of no build",
        |mut draft| {
            draft.define("extensions", "pprof", "{}");
            Some(draft.text())
        },
    ),
    kind(
        Code::UnsupportedSignal,
        "a receiver of another signal",
        |mut draft| {
            let pipeline = draft.some_pipeline()?;
            let (id, settings) = match pipeline.trim().starts_with("traces") {
                true => ("hostmetrics/other", "{scrapers: {load: }}"),
                false => ("zipkin/other", ""),
            };
            draft.define("receivers", id, settings);
            draft.push_use(&pipeline, "receivers", id);
            Some(draft.text())
        },
    ),
    kind(
        Code::UnsupportedSignal,
        "a processor of another signal",
        |mut draft| {
            let mut ids = draft.pipelines_of(Signal::Logs);
            ids.extend(draft.pipelines_of(Signal::Metrics));
            let pipeline = draft.some(&ids)?;
            let settings = "{policies: [{name: all, type: always_sample}]}";
            draft.define("processors", "tail_sampling/other", settings);
            draft.push_use(&pipeline, "processors", "tail_sampling/other");
            Some(draft.text())
        },
    ),
    kind(Code::LooseConnector, "only an exporter", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        draft.define("connectors", "forward/loose", "");
        draft.push_use(&pipeline, "exporters", "forward/loose");
        Some(draft.text())
    }),
    kind(Code::LooseConnector, "only a receiver", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        draft.define("connectors", "forward/loose", "");
        draft.push_use(&pipeline, "receivers", "forward/loose");
        Some(draft.text())
    }),
    kind(
        Code::LooseConnector,
        "between signals it does not connect",
        |mut draft| {
            let mut ids = draft.pipelines_of(Signal::Logs);
            ids.extend(draft.pipelines_of(Signal::Traces));
            let from = draft.some(&ids)?;
            let exporter = draft.uses(&from, "exporters").into_iter().next()?;
            draft.define("connectors", "forward/loose", "");
            draft.push_use(&from, "exporters", "forward/loose");
            draft.define("exporters", "nop", "");
            draft.set_uses(
                "metrics/loose",
                "receivers",
                vec!["forward/loose".to_owned()],
            );
            draft.set_uses("metrics/loose", "exporters", vec!["nop".to_owned()]);
            (!exporter.is_empty()).then(|| draft.text())
        },
    ),
    kind(
        Code::LooseConnector,
        "its other end is taken away",
        |mut draft| {
            let ids = draft.ids("connectors");
            let takes = |draft: &Draft, id: &String| {
                let pipelines = draft.all_pipelines();
                pipelines
                    .iter()
                    .any(|pipeline| draft.uses(pipeline, "receivers").contains(id))
            };
            let id = ids.into_iter().find(|id| takes(&draft, id))?;
            draft.define("receivers", "nop", "");
            for pipeline in draft.all_pipelines() {
                let mut ids = draft.uses(&pipeline, "receivers");
                ids.iter_mut()
                    .filter(|of| **of == id)
                    .for_each(|of| *of = "nop".to_owned());
                draft.set_uses(&pipeline, "receivers", ids);
            }
            Some(draft.text())
        },
    ),
    kind(
        Code::PipelineCycle,
        "a pipeline into itself",
        |mut draft| {
            let pipeline = draft.some_pipeline()?;
            draft.define("connectors", "forward/back", "");
            draft.push_use(&pipeline, "exporters", "forward/back");
            draft.push_use(&pipeline, "receivers", "forward/back");
            Some(draft.text())
        },
    ),
    kind(Code::PipelineCycle, "over a new pipeline", |mut draft| {
        let pipeline = draft.some_pipeline()?;
        let signal = pipeline.trim().split('/').next()?.trim().to_owned();
        let around = format!("{signal}/around");
        draft.define("connectors", "forward/there", "");
        draft.define("connectors", "forward/back", "");
        draft.push_use(&pipeline, "exporters", "forward/there");
        draft.push_use(&pipeline, "receivers", "forward/back");
        draft.set_uses(&around, "receivers", vec!["forward/there".to_owned()]);
        draft.set_uses(&around, "exporters", vec!["forward/back".to_owned()]);
        Some(draft.text())
    }),
    kind(
        Code::PipelineCycle,
        "back against a connector",
        |mut draft| {
            let connectors = draft.ids("connectors");
            let connector = connectors
                .into_iter()
                .find(|id| component_type(id) == "forward")?;
            let all = draft.all_pipelines();
            let from = all
                .iter()
                .find(|id| draft.uses(id, "exporters").contains(&connector))?
                .clone();
            let signal = from.split('/').next()?.to_owned();
            let to = all
                .iter()
                .find(|id| {
                    id.split('/').next() == Some(&signal)
                        && draft.uses(id, "receivers").contains(&connector)
                })?
                .clone();
            draft.define("connectors", "forward/back", "");
            draft.push_use(&to, "exporters", "forward/back");
            draft.push_use(&from, "receivers", "forward/back");
            Some(draft.text())
        },
    ),
    not_judged(kind(
        Code::GatedSignal,
        "a pipeline of profiles",
        |mut draft| {
            draft.set_uses("profiles", "receivers", vec!["otlp".to_owned()]);
            draft.set_uses("profiles", "exporters", vec!["debug".to_owned()]);
            draft.define("receivers", "otlp", "{protocols: {grpc: }}");
            draft.define("exporters", "debug", "");
            Some(draft.text())
        },
    )),
    // Not judged where the settings are needed: the Collector then misses them.
    not_judged(kind(
        Code::LostSettings,
        "a blank behind an id",
        |mut draft| {
            let id = draft.some_used("exporters")?;
            let settings = draft.section("exporters").remove(&id)?;
            let has_settings = !matches!(settings, Value::Null);
            draft
                .section("exporters")
                .insert(format!("{id} "), settings);
            has_settings.then(|| draft.text())
        },
    )),
    kind(
        Code::LostSettings,
        "nonsense behind a blank",
        |mut draft| {
            let pipeline = draft.some_pipeline()?;
            draft.define("exporters", "debug/blank ", "{no_such_setting: 1}");
            draft.push_use(&pipeline, "exporters", "debug/blank");
            Some(draft.text())
        },
    ),
    kind(Code::UnusedComponent, "an exporter more", |mut draft| {
        draft.define("exporters", "debug/unused", "{verbosity: basic}");
        Some(draft.text())
    }),
    kind(Code::UnusedComponent, "an extension more", |mut draft| {
        draft.define("extensions", "zpages/unused", "");
        Some(draft.text())
    }),
    kind(Code::UnusedComponent, "no longer named", |mut draft| {
        let pipeline = draft.pipeline_with_processors(1)?;
        let mut ids = draft.uses(&pipeline, "processors");
        let id = draft.some(&ids)?;
        for other in draft.all_pipelines() {
            ids = draft.uses(&other, "processors");
            ids.retain(|of| *of != id);
            draft.set_uses(&other, "processors", ids);
        }
        Some(draft.text())
    }),
    kind(Code::RepeatedComponent, "a receiver again", |draft| {
        again(draft, "receivers")
    }),
    kind(Code::RepeatedComponent, "an exporter again", |draft| {
        again(draft, "exporters")
    }),
    kind(Code::LateMemoryLimiter, "behind all others", |mut draft| {
        let pipeline = draft.pipeline_with_processors(1)?;
        draft.define(
            "processors",
            "memory_limiter/late",
            "{check_interval: 1s, limit_mib: 100}",
        );
        draft.push_use(&pipeline, "processors", "memory_limiter/late");
        Some(draft.text())
    }),
    kind(Code::EarlyBatch, "before all others", |mut draft| {
        let ids = draft.all_pipelines();
        let fits = |draft: &Draft, id: &String| {
            let processors = draft.uses(id, "processors");
            !processors.is_empty() && processors.iter().all(|id| component_type(id) != "batch")
        };
        let pipeline = ids.into_iter().find(|id| fits(&draft, id))?;
        draft.define("processors", "batch/early", "");
        let mut processors = draft.uses(&pipeline, "processors");
        processors.insert(0, "batch/early".to_owned());
        draft.set_uses(&pipeline, "processors", processors);
        Some(draft.text())
    }),
    kind(Code::InsecureTransport, "TLS off", |draft| {
        dials(draft, "far.example:4317", "insecure")
    }),
    kind(
        Code::InsecureTransport,
        "certificates not verified",
        |draft| dials(draft, "far.example:4317", "insecure_skip_verify"),
    ),
    kind(Code::InsecureTransport, "http", |mut draft| {
        draft.define(
            "exporters",
            "otlphttp/clear",
            "{endpoint: 'http://far.example:4318'}",
        );
        Some(draft.text())
    }),
    not_judged(kind(
        Code::InsecureTransport,
        "in a component of another build",
        |mut draft| {
            draft.define("exporters", "other", draft.some_of(&CLEAR));
            Some(draft.text())
        },
    )),
    kind(Code::PlaintextSecret, "a token in a header", |mut draft| {
        let id = draft.some_remote_exporter()?;
        let headers = draft
            .settings("exporters", &id)
            .entry("headers".to_owned())
            .or_insert(Value::Null);
        entries(headers).insert("x-honeycomb-team".to_owned(), "abcdefgh".into());
        Some(draft.text())
    }),
    not_judged(kind(
        Code::PlaintextSecret,
        "in a component of another build",
        |mut draft| {
            draft.define("exporters", "other", draft.some_of(&SECRETS));
            Some(draft.text())
        },
    )),
    kind(
        Code::PlaintextSecret,
        "a password of an extension",
        |mut draft| {
            draft.define(
                "extensions",
                "basicauth/plain",
                "{client_auth: {username: u, password: opensesame}}",
            );
            Some(draft.text())
        },
    ),
    kind(Code::UnsetVariable, "in a header", |mut draft| {
        let id = draft.some_remote_exporter()?;
        let headers = draft
            .settings("exporters", &id)
            .entry("headers".to_owned())
            .or_insert(Value::Null);
        entries(headers).insert("x-zone".to_owned(), "z-${env:NOBODY_SETS_THIS}".into());
        Some(draft.text())
    }),
    kind(Code::UnsetVariable, "in own telemetry", |mut draft| {
        let telemetry = entries(
            draft
                .service()
                .entry("telemetry".to_owned())
                .or_insert(Value::Null),
        );
        let resource = entries(
            telemetry
                .entry("resource".to_owned())
                .or_insert(Value::Null),
        );
        resource.insert("site".to_owned(), "s-${NOBODY_SETS_THIS}".into());
        Some(draft.text())
    }),
    kind(
        Code::MoreFindings,
        "a thousand unused exporters",
        |mut draft| {
            for number in 0..1_001 {
                draft.define("exporters", &format!("debug/unused{number}"), "");
            }
            Some(draft.text())
        },
    ),
    unreadable("a section twice", |draft| {
        Some(format!("{}service: {{}}\n", draft.text()))
    }),
    unreadable("a key twice", |draft| {
        Some(draft.text().replacen(
            "service:\n",
            "service:\n  extensions: []\n  extensions: []\n",
            1,
        ))
    }),
    unreadable("a tab", |draft| {
        Some(draft.text().replacen("\n  ", "\n\t", 1))
    }),
    unreadable("an open bracket", |draft| {
        Some(format!("{}more: [1, 2\n", draft.text()))
    }),
    unreadable("an open quote", |draft| {
        Some(format!("{}more: \"x\n", draft.text()))
    }),
    unreadable("an alias of nothing", |draft| {
        Some(format!("{}more: *nothing\n", draft.text()))
    }),
    unreadable("a line to the left", |draft| {
        Some(format!("{}more:\n    a: 1\n  b: 2\n", draft.text()))
    }),
    unreadable("a section without a colon", |draft| {
        Some(format!("{}more\n", draft.text()))
    }),
    unreadable("a list as a whole", |draft| {
        Some(
            draft
                .text()
                .lines()
                .map(|line| format!("- {line:?}\n"))
                .collect(),
        )
    }),
];

fn gone(mut draft: Draft, section: &str) -> Option<String> {
    let id = draft.some_used(section)?;
    draft.section(section).remove(&id);
    Some(draft.text())
}

fn of_no_build(mut draft: Draft, section: &str) -> Option<String> {
    let id = draft.some_used(section)?;
    let renamed = id.replacen(
        &component_type(&id),
        &format!("{}x", component_type(&id)),
        1,
    );
    draft.rename(section, &id, &renamed);
    Some(draft.text())
}

fn again(mut draft: Draft, part: &str) -> Option<String> {
    let pipeline = draft.some_pipeline()?;
    let ids = draft.uses(&pipeline, part);
    let id = draft.some(&ids)?;
    draft.push_use(&pipeline, part, &id);
    Some(draft.text())
}

fn dials(mut draft: Draft, endpoint: &str, how: &str) -> Option<String> {
    let settings = format!("{{endpoint: '{endpoint}', tls: {{{how}: true}}}}");
    draft.define("exporters", "otlp/far", &settings);
    Some(draft.text())
}
