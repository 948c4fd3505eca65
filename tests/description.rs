//! `/openapi.json` is whole, and what it says of requests holds. That it is valid, and that others can work with it, `openapi_clients/run` shows.

use std::collections::HashSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::description::{Description, Operation};
use crate::support::{ADMIN_TOKEN, API_TOKEN, TestApp};

/// A request of an operation, of things that are not there.
fn request(app: &TestApp, operation: &Operation, query: &str) -> RequestBuilder {
    let path = operation.path.replace("{user}", "nobody").replace("{name}", "nothing");
    let id = if path.contains("deliveries") { "019a0000-0000-7000-8000-000000000000" } else { "999999999" };
    request_at(app, operation, &format!("{}{query}", path.replace("{id}", id)))
}

fn request_at(app: &TestApp, operation: &Operation, path: &str) -> RequestBuilder {
    let token = if path.starts_with("/v1") { API_TOKEN } else { ADMIN_TOKEN };
    let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
    app.http.request(method, app.url(path)).bearer_auth(token)
}

/// The status and the detail of a refusal.
async fn refusal(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{status}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status, "{problem}");
    (status, problem["detail"].as_str().unwrap().to_owned())
}

/// What lies in a value, and below it.
fn all_in(value: &Value) -> Vec<&Value> {
    let children: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(all_in);
    std::iter::once(value).chain(below).collect()
}

fn has_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name || schema["type"].as_array().is_some_and(|types| types.contains(&json!(name)))
}

/// The texts and numbers of a request's schema that have no bounds. A text has a length and a pattern, which leaves NUL out.
fn unbounded(description: &Description, name: &str, schema: &Value) -> Vec<String> {
    let schema = description.resolved(schema);
    let variants = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten();
    let mut found: Vec<String> = variants.flat_map(|variant| unbounded(description, name, variant)).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    found.extend(
        fields.flat_map(|(field, schema)| unbounded(description, &format!("{name}.{field}"), schema)),
    );
    if has_type(schema, "object") {
        assert!(!schema["additionalProperties"].is_null(), "{name} says nothing of unknown fields");
        found.extend(unbounded(description, &format!("{name}.*"), &schema["additionalProperties"]));
    }
    let has_any = |bounds: &[&str]| bounds.iter().any(|bound| !schema[*bound].is_null());
    if has_type(schema, "string")
        && !has_any(&["enum", "format"])
        && (schema["maxLength"].is_null() || schema["pattern"].is_null())
    {
        found.push(name.to_owned());
    }
    if has_type(schema, "integer") && !has_any(&["minimum"]) {
        found.push(name.to_owned());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_whole() {
    let app = TestApp::start().await;
    let description = Description::of(&app).await.unwrap();
    let mut ids = HashSet::new();

    for operation in description.operations() {
        let id = operation.id();
        assert!(ids.insert(id), "{id} is there twice");
        let scheme = if operation.path.starts_with("/v1") { "apiToken" } else { "adminToken" };
        assert_eq!(operation.described["security"], json!([{ scheme: [] }]), "{id}");
        assert!(operation.described["summary"].is_string(), "{id} has no words");
        let mut expected = vec!["400", "401", "421", "503"];
        if operation.body().is_some() {
            expected.extend(["413", "415", "422"]);
        }
        for status in expected {
            assert!(operation.statuses().any(|known| known == status), "{id} says nothing of {status}");
        }
        for (status, response) in operation.described["responses"].as_object().unwrap() {
            let response = description.resolved(response);
            assert!(response["description"].as_str().is_some_and(|words| !words.is_empty()), "{id} {status}");
            if status.as_str() >= "400" {
                let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
                assert_eq!(response["content"], problem, "{id} {status}");
            }
        }
        let parameters = operation.described["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.clone() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            assert!(parameter["description"].is_string(), "{id} {name} has no words");
            assert!(!has_type(schema, "null"), "{id} {name} cannot be null");
            assert_eq!(unbounded(description, name, schema), [""; 0], "{id}");
        }
        let in_path = parameters.filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, operation.path.matches('{').count(), "{id}");
        if let Some(body) = operation.body() {
            assert_eq!(unbounded(description, "body", body), [""; 0], "{id}");
        }
    }
    assert!(ids.len() >= 31, "{ids:?}");
    let references = all_in(&description.0).into_iter().filter(|value| value["$ref"].is_string());
    let resolved: Vec<&Value> = references.map(|reference| description.resolved(reference)).collect();
    assert!(resolved.len() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_beyond_their_description_are_refused_by_name() {
    let app = TestApp::start().await;
    let description = Description::of(&app).await.unwrap();
    let mut refused = 0;

    for operation in description.operations() {
        let id = operation.id();
        let (status, detail) = refusal(request(&app, &operation, "?sttate=dead")).await;
        assert!(status == 400 && detail.contains("sttate"), "{id}: {status} {detail}");
        for parameter in operation.parameters("query") {
            let name = parameter["name"].as_str().unwrap();
            for (value, expected) in beyond(&parameter["schema"]) {
                let (status, detail) = refusal(request(&app, &operation, &format!("?{name}={value}"))).await;
                assert!(
                    status == expected && detail.starts_with(name),
                    "{id} {name}={value}: {status} {detail}"
                );
                refused += 1;
            }
        }
        for parameter in operation.parameters("header") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let wrong = if has_type(schema, "integer") { Some(("seven".to_owned(), 400)) } else { None };
            let values = beyond(schema).into_iter().skip(1).chain(wrong);
            for (value, expected) in values {
                let (status, detail) = refusal(request(&app, &operation, "").header(name, &value)).await;
                assert!(status == expected && detail.starts_with(name), "{id} {name}: {status} {detail}");
                refused += 1;
            }
        }
        for parameter in operation.parameters("path") {
            let name = parameter["name"].as_str().unwrap();
            for (value, expected) in
                beyond(&parameter["schema"]).into_iter().filter(|(value, _)| !value.is_empty())
            {
                let path = operation.path.replace(&format!("{{{name}}}"), &value);
                let (status, detail) = refusal(request_at(&app, &operation, &path)).await;
                assert!(status == expected && detail.contains(name), "{id} {path}: {status} {detail}");
                refused += 1;
            }
        }
    }

    assert!(refused >= 100, "{refused}");
}

/// Values that a schema excludes, as a URL spells them, and the status of their refusal.
fn beyond(schema: &Value) -> Vec<(String, u16)> {
    let mut values = vec![("a%00b".to_owned(), 400)];
    let by = |bound: &str, by: i64| schema[bound].as_i64().map(|bound| ((bound + by).to_string(), 422));
    values.extend(by("minimum", -1));
    values.extend(by("maximum", 1));
    values.extend(schema["maxLength"].as_u64().map(|most| ("x".repeat(most as usize + 1), 422)));
    values.extend(schema["minLength"].as_u64().map(|least| ("x".repeat(least as usize - 1), 422)));
    values.extend(schema["enum"].is_array().then(|| ("other".to_owned(), 422)));
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_their_description_are_refused_by_name() {
    let app = TestApp::start().await;
    let description = Description::of(&app).await.unwrap();
    let mut bodies = 0;

    for operation in description.operations().filter(|operation| operation.body().is_some()) {
        let id = operation.id();
        let send = |body: String| {
            request(&app, &operation, "").header("content-type", "application/json").body(body)
        };
        let cases = [
            (
                request(&app, &operation, "").header("content-type", "text/plain").body("{}"),
                415,
                "application/json",
            ),
            (send("{".to_owned()), 400, "JSON"),
            (send("null".to_owned()), 422, "null"),
            (send(json!({ "nowhere": "described" }).to_string()), 422, "nowhere"),
            (send(format!("\"{}\"", "x".repeat(65 * 1024))), 413, ""),
        ];
        for (request, expected, names) in cases {
            let (status, detail) = refusal(request).await;
            assert!(status == expected && detail.contains(names), "{id}: {status} {detail}");
        }
        let schema = description.resolved(operation.body().unwrap());
        let fields = schema["properties"].as_object().unwrap();
        for (field, schema) in
            fields.iter().filter(|(_, schema)| has_type(schema, "string") && schema["format"].is_null())
        {
            let mut body: Value = fields
                .iter()
                .filter(|(_, schema)| has_type(schema, "string") && schema["format"].is_null())
                .map(|(field, schema)| {
                    let shortest = schema["minLength"].as_u64().unwrap_or(1).max(1);
                    let text = json!("a".repeat(shortest as usize));
                    (field.clone(), schema["enum"].get(0).cloned().unwrap_or(text))
                })
                .collect::<serde_json::Map<_, _>>()
                .into();
            if let Some(scope) = fields.get("scope") {
                body["scope"] = description.resolved(scope)["enum"][0].clone();
            }
            if schema["enum"].is_null() {
                body[field] = json!("a\0b");
                let (status, detail) = refusal(send(body.to_string())).await;
                assert!(status == 422 && detail.starts_with(field), "{id} {field}: {status} {detail}");
                body[field] = json!("x".repeat(schema["maxLength"].as_u64().unwrap() as usize + 1));
                let (status, detail) = refusal(send(body.to_string())).await;
                assert!(status == 422 && detail.starts_with(field), "{id} {field}: {status} {detail}");
                bodies += 1;
            }
        }
    }

    assert!(bodies >= 8, "{bodies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_requests_without_a_token_are_refused() {
    let app = TestApp::start().await;
    let description = Description::of(&app).await.unwrap();

    for operation in description.operations() {
        let id = operation.id();
        let known = description.operations().filter(|other| other.path == operation.path);
        let known: Vec<String> = known.map(|other| other.method.to_uppercase()).collect();
        for method in [Method::PATCH, Method::PUT, Method::POST, Method::DELETE] {
            if known.iter().any(|known| *known == method.as_str()) {
                continue;
            }
            let other = Operation { method: method.as_str(), ..operation };
            let answer = request(&app, &other, "").send().await.unwrap();
            let allowed = answer.headers()["allow"].to_str().unwrap().to_owned();
            assert_eq!(answer.status(), 405, "{id} {method}");
            for known in &known {
                assert!(allowed.split(',').any(|allowed| allowed == known), "{id}: {allowed} has no {known}");
            }
        }
        let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
        let url = request(&app, &operation, "").build().unwrap().url().clone();
        let (status, _) = refusal(app.http.request(method, url)).await;
        assert_eq!(status, 401, "{id}");
    }
}
