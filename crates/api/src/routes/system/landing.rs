//! `GET /`: a plain page that says what is here, until the UI is.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::response::Html;
use serde_json::Value;

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>OpAMP control plane</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark; }
code, td { font-family: ui-monospace, monospace; font-size: 14px; }
td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
td:last-child { font-family: inherit; }
</style>
<h1>OpAMP control plane</h1>
<p>The web UI comes with a later version. Until then there is the API; it takes an admin token:</p>
<pre><code>curl -H \"Authorization: Bearer $TOKEN\" http://localhost:8080/api/v1/agents</code></pre>
<p><a href=\"/health\">/health</a>, <a href=\"/ready\">/ready</a> and <a href=\"/metrics\">/metrics</a> take none. The whole
description is at <code>/api/v1/openapi.json</code>. Everything under <code>/api/v1</code> is there for every namespace under
<code>/api/v1/namespaces/{namespace}</code> too.</p>
<table>
";

/// What is here.
#[utoipa::path(get, path = "/", tag = "system", responses((status = 200, content_type = "text/html", body = String)))]
pub(crate) async fn landing_page() -> Html<&'static str> {
    static PAGE: OnceLock<String> = OnceLock::new();
    Html(PAGE.get_or_init(|| page(&crate::document())))
}

fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let paths = document["paths"].as_object();
    let listed = paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| !path.starts_with("/api/v1/namespaces/"));
    for (path, item) in listed {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let summary = operation["summary"]
                .as_str()
                .or(operation["description"].as_str())
                .unwrap_or_default();
            let summary = summary
                .split(". ")
                .next()
                .unwrap_or_default()
                .trim_end_matches('.');
            let (method, path) = (method.to_uppercase(), escaped(path));
            writeln!(
                page,
                "<tr><td>{method}</td><td>{path}</td><td>{}</td></tr>",
                escaped(summary)
            )
            .expect("writing to a string");
        }
    }
    page.push_str("</table>\n</html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
