//! What an administrator can ask, read out of the interface's own description.

use serde_json::Value;
use sqlx::PgPool;

/// A request of `/admin/api`.
pub(crate) struct Question {
    /// The path with its query.
    pub(crate) path: String,
    /// The same with the names of what depends on the rows.
    pub(crate) template: String,
}

/// A filter, and the value that it has in a question.
#[derive(Clone)]
struct Filter {
    name: String,
    value: String,
}

/// Every list and every single thing that can be read, with no filter, with each, and with each two.
pub(crate) async fn all(description: &Value, pg: &PgPool) -> anyhow::Result<Vec<Question>> {
    let mut questions = Vec::new();
    let Some(paths) = description["paths"].as_object() else { anyhow::bail!("the description has no paths") };
    for (path, operations) in paths {
        let operation = &operations["get"];
        if !path.starts_with("/admin/api") || operation.is_null() || is_left_out(path) {
            continue;
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let mut filled = path.clone();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = identity(path, pg).await?;
            filled = filled.replace(&format!("{{{name}}}"), &value);
        }
        let mut filters = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap_or_default();
            for value in values(path, name, &parameter["schema"], pg).await? {
                filters.push(Filter { name: name.to_owned(), value });
            }
        }
        questions.push(question(path, &filled, &[]));
        for (place, one) in filters.iter().enumerate() {
            questions.push(question(path, &filled, &[one]));
            // Of which only one may be given.
            if path.ends_with("/users") {
                continue;
            }
            for other in filters[place + 1..].iter().filter(|other| go_together(&one.name, &other.name)) {
                questions.push(question(path, &filled, &[one, other]));
            }
        }
    }
    Ok(questions)
}

/// The console's pages: each list as it is and with each filter of the interface's that it has, and one of each page of a single thing.
pub(crate) async fn pages(of_interface: &[Question], pg: &PgPool) -> anyhow::Result<Vec<Question>> {
    let mut pages: Vec<Question> = [
        "/admin",
        "/admin/groups",
        "/admin/groups?kind=send_chunk",
        "/admin/in-doubt",
        "/admin/pauses",
        "/admin/schedules",
        "/admin/schedules/daily",
        "/admin/audit",
        "/admin/people",
        "/admin/people?find=user-7",
        "/admin/person?user=user-1",
        "/admin/person?user=user-7",
    ]
    .map(|path| Question { path: path.to_owned(), template: path.to_owned() })
    .into();
    for list in ["jobs", "deliveries", "turns", "messages", "alerts"] {
        let (of_interface_at, at) = (format!("/admin/api/{list}"), format!("/admin/{list}"));
        for question in of_interface {
            let (path, query) = question.path.split_once('?').unwrap_or((&question.path, ""));
            let name = query.split('=').next().unwrap_or_default();
            let is_single = !query.contains('&') && !["limit", "cause", "all"].contains(&name);
            if path != of_interface_at || !is_single {
                continue;
            }
            let as_page = |text: &str| text.replace(&of_interface_at, &at).replace("errorCode=", "code=");
            pages.push(Question { path: as_page(&question.path), template: as_page(&question.template) });
        }
        if list != "alerts" {
            let id = identity(&format!("/{list}/"), pg).await?;
            pages.push(Question { path: format!("{at}/{id}"), template: format!("{at}/{{id}}") });
        }
    }
    Ok(pages)
}

/// Whether two filters may be given at once: a person is meant by a user or by a number.
fn go_together(one: &str, other: &str) -> bool {
    let is_person = |name| ["user", "number"].contains(&name);
    one != other && !(is_person(one) && is_person(other))
}

/// Asks something outside of the database, or needs a file.
fn is_left_out(path: &str) -> bool {
    path.ends_with("/preview")
}

fn question(path: &str, filled: &str, filters: &[&Filter]) -> Question {
    let query: Vec<String> =
        filters.iter().map(|filter| format!("{}={}", filter.name, filter.value)).collect();
    // A value that depends on the rows is another one in another database.
    let shape: Vec<String> = filters
        .iter()
        .map(|filter| {
            if is_of_rows(&filter.name) {
                format!("{}=", filter.name)
            } else {
                format!("{}={}", filter.name, filter.value)
            }
        })
        .collect();
    let with = |path: &str, query: &[String]| {
        if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
    };
    Question { path: with(filled, &query), template: with(path, &shape) }
}

fn is_of_rows(name: &str) -> bool {
    ["before", "after", "group", "since", "until", "user", "number", "phone"].contains(&name)
}

/// An id in a path.
async fn identity(path: &str, pg: &PgPool) -> anyhow::Result<String> {
    let statement = if path.contains("/deliveries/") {
        "SELECT id::TEXT FROM channel_deliveries WHERE purpose = 'reply' LIMIT 1"
    } else if path.contains("/users/") {
        "SELECT 'user-1'"
    } else if path.contains("/jobs/") {
        "SELECT min(id)::TEXT FROM queue.jobs"
    } else if path.contains("/alerts/") {
        "SELECT max(id)::TEXT FROM channel_alerts"
    } else {
        "SELECT max(id)::TEXT FROM channel_turns"
    };
    Ok(sqlx::query_scalar(statement).fetch_one(pg).await?)
}

/// What a filter is tried with: every value of an enumeration, else one or two that have many rows.
async fn values(path: &str, name: &str, schema: &Value, pg: &PgPool) -> anyhow::Result<Vec<String>> {
    if let Some(named) = enumerated(schema) {
        return Ok(named);
    }
    let fixed: &[&str] = match name {
        "limit" => &["500"],
        "months" => &["120"],
        "user" => &["user-1", "user-4", "nobody"],
        "id" => &["user-1", "user-77"],
        "number" | "phone" => &["%2B15000000001", "%2B15000000004", "%2B15550000000"],
        "kind" => &["send_chunk", "answer", "no_such_kind"],
        "pool" => &["replies", "no_such_pool"],
        "lane" => &["the%20lane", "no_such_lane"],
        "plan" => &["pro"],
        "name" => &["a"],
        "reason" => &["quota", "no_such_reason"],
        "errorCode" => &["63024", "11111"],
        "all" | "live" => &["true"],
        _ => &[],
    };
    if !fixed.is_empty() {
        return Ok(fixed.iter().map(|value| (*value).to_owned()).collect());
    }
    let statement = match name {
        "group" => "SELECT min(failure_group) FROM queue.dead",
        "since" | "until" => {
            "SELECT to_char(percentile_disc(0.5) WITHIN GROUP (ORDER BY received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM channel_messages TABLESAMPLE SYSTEM (1) REPEATABLE (7)"
        }
        "after" => "SELECT 'user-5'",
        "before" if path.ends_with("/deliveries") => {
            "SELECT id::TEXT FROM channel_deliveries WHERE purpose = 'reply' ORDER BY id OFFSET 10 LIMIT 1"
        }
        "before" if path.ends_with("/chunks") => {
            "SELECT concat(id, '.0') FROM channel_deliveries WHERE purpose = 'reply' ORDER BY id OFFSET 10 LIMIT 1"
        }
        "before" if path.ends_with("/jobs") => "SELECT (max(id) / 2)::TEXT FROM queue.jobs",
        "before" => "SELECT (max(id) / 2)::TEXT FROM channel_messages",
        // Asks Twilio, or counts as many as are asked for.
        "askTwilio" | "users" => return Ok(Vec::new()),
        _ => anyhow::bail!("{path} has a filter {name} that this benchmark does not know"),
    };
    let value: Option<String> = sqlx::query_scalar(statement).fetch_one(pg).await?;
    Ok(value.into_iter().collect())
}

/// The values of an enumeration, in whichever way the description spells one that may be missing.
fn enumerated(schema: &Value) -> Option<Vec<String>> {
    if let Some(named) = schema["enum"].as_array() {
        return Some(named.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    let kinds = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    let all: Vec<String> = kinds
        .iter()
        .flat_map(|kind| {
            enumerated(kind)
                .or_else(|| kind["const"].as_str().map(|value| vec![value.to_owned()]))
                .unwrap_or_default()
        })
        .collect();
    (!all.is_empty()).then_some(all)
}
