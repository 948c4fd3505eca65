//! `/openapi.json`, to which every answer of every test is held.

use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::TestApp;

/// The description of the interface.
pub(crate) struct Description(pub(crate) Value);

/// An operation that is described.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) described: &'a Value,
}

/// It is the same one for all tests: the program makes it from its handlers alone.
static DESCRIPTION: OnceCell<Description> = OnceCell::const_new();

impl Description {
    /// What a program says of itself; `None`: it does not answer just now.
    pub(crate) async fn of(app: &TestApp) -> Option<&'static Self> {
        let ask = async || {
            let answer = app.http.get(app.url("/openapi.json")).send().await?;
            answer.error_for_status()?.json().await.map(Self)
        };
        DESCRIPTION.get_or_try_init(ask).await.ok()
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.0["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let item = item.as_object().unwrap().iter();
            item.map(move |(method, described)| Operation { method, path, described })
        })
    }

    /// What a reference leads to, or the value itself.
    pub(crate) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(location) = value["$ref"].as_str() else { return value };
        self.0.pointer(location.trim_start_matches('#')).unwrap_or_else(|| panic!("{location} leads nowhere"))
    }

    /// An answer that is not described fails the test.
    pub(crate) fn check(&self, method: &Method, url_path: &str, status: u16) {
        let path = url_path.split('?').next().unwrap();
        let at_path: Vec<Operation> = self.operations().filter(|operation| operation.is_at(path)).collect();
        // A fixed path goes before one with a parameter.
        let nearest = at_path.iter().map(|operation| operation.path.matches('{').count()).min();
        let of_method = at_path.iter().find(|operation| {
            operation.method.eq_ignore_ascii_case(method.as_str())
                && Some(operation.path.matches('{').count()) == nearest
        });
        let described = match of_method {
            Some(operation) => operation.statuses().any(|known| known == status.to_string()),
            None if at_path.is_empty() => matches!(status, 401 | 404 | 421),
            None => matches!(status, 401 | 405 | 421),
        };
        assert!(described, "{method} {path} answered {status}, which /openapi.json does not say");
    }
}

impl<'a> Operation<'a> {
    fn is_at(&self, path: &str) -> bool {
        let (mut ours, mut theirs) = (self.path.split('/'), path.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(ours), Some(theirs)) if ours == theirs || ours.starts_with('{') => {}
                _ => return false,
            }
        }
    }

    pub(crate) fn id(&self) -> &'a str {
        self.described["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{} {} has no id", self.method, self.path))
    }

    pub(crate) fn statuses(&self) -> impl Iterator<Item = &'a str> {
        self.described["responses"].as_object().unwrap().keys().map(String::as_str)
    }

    pub(crate) fn parameters(&self, place: &'static str) -> impl Iterator<Item = &'a Value> {
        let all = self.described["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
    }

    pub(crate) fn body(&self) -> Option<&'a Value> {
        self.described.pointer("/requestBody/content/application~1json/schema")
    }
}
