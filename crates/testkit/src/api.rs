//! A client of the REST API, as short as a test wants it.

use std::time::Duration;

use api_types::agents::{Agent, AgentSummary};
use api_types::fleet::Fleet;
use api_types::rollouts::StartedRollout;
use api_types::{Page, Problem};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The REST API of one server, as one operator.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    client: Client,
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Api {
    /// The API at `base`, `http://127.0.0.1:17`, for whoever has `token`.
    pub fn new(base: impl Into<String>, token: Option<String>) -> Self {
        let client = Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        Self {
            base: base.into(),
            token,
            client,
        }
    }

    /// The same API for another token, or for nobody.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// The address of the admin plane.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to `path`, which begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// Sends `request`; none where there was no answer, because the server is away.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.ok()?;
        Some(Answer {
            status,
            headers,
            text,
        })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// All agents that match `selector`, page by page; empty: every one.
    pub async fn agents(&self, selector: &str) -> Vec<AgentSummary> {
        let mut agents: Vec<AgentSummary> = Vec::new();
        let mut cursor = None;
        loop {
            let mut request = self
                .request(Method::GET, "/api/v1/agents")
                .query(&[("limit", "500")]);
            if !selector.is_empty() {
                request = request.query(&[("selector", selector)]);
            }
            if let Some(cursor) = cursor.take() {
                request = request.query(&[("cursor", cursor)]);
            }
            let page: Page<AgentSummary> = self.send(request).await.ok();
            agents.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return agents,
            }
        }
    }

    /// One agent whole, by its id or uid.
    pub async fn agent(&self, id: &str) -> Agent {
        self.get(&format!("/api/v1/agents/{id}")).await.ok()
    }

    /// The counts.
    pub async fn fleet(&self) -> Fleet {
        self.get("/api/v1/fleet").await.ok()
    }

    /// Makes a revision of the config `name` and gives its number.
    pub async fn put_config(&self, name: &str, selector: &str, body: &str) -> u64 {
        self.put_layer(name, selector, 0, body).await
    }

    /// Makes a revision with a priority and gives its number.
    pub async fn put_layer(&self, name: &str, selector: &str, priority: i64, body: &str) -> u64 {
        let request = json!({"kind": "collector", "selector": selector, "priority": priority, "body": body, "message": "test"});
        let answer = self.put(&format!("/api/v1/configs/{name}"), &request).await;
        let revision: Value = answer.ok();
        let number = revision.pointer("/summary/number").and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no number in {revision}"))
    }

    /// Releases the newest revision of a config to all agents that it matches, whatever checks say of it: to most tests a
    /// body is no more than something to compare.
    pub async fn start_rollout(&self, name: &str) -> StartedRollout {
        self.post(
            &format!("/api/v1/configs/{name}/rollouts"),
            &json!({"strategy": "all_at_once", "force": true}),
        )
        .await
        .ok()
    }

    /// Makes a revision and releases it.
    pub async fn release(&self, name: &str, selector: &str, body: &str) -> StartedRollout {
        self.put_config(name, selector, body).await;
        self.start_rollout(name).await
    }

    /// Sets an operator's label on an agent.
    pub async fn set_label(&self, agent: &str, key: &str, value: &str) -> Answer {
        self.patch(
            &format!("/api/v1/agents/{agent}"),
            &json!({"labels": {key: value}}),
        )
        .await
    }

    /// Makes a token for agents and gives its secret and its id.
    pub async fn agent_token(&self, labels: &Value) -> (String, String) {
        let created: Value = self
            .post(
                "/api/v1/tokens",
                &json!({"kind": "agent", "labels": labels}),
            )
            .await
            .ok();
        let text = |pointer: &str| {
            created
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        (
            text("/secret").expect("a secret"),
            text("/token/id").expect("an id"),
        )
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// The body of a successful answer as JSON.
    ///
    /// # Panics
    /// When the request was refused.
    pub fn ok<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }

    /// The problem of a refusal.
    ///
    /// # Panics
    /// When the status is another, or the body no problem.
    pub fn problem(&self, status: u16) -> Problem {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }
}
