//! Where people's browsers find the dashboard, and which pages may show it in a frame.

use super::keys::Keys;
use super::origins::origin;

/// The dashboard, as browsers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DashboardOrigins {
    /// The origin under which browsers reach it, without a slash at its end; `None`: its address.
    pub(crate) own: Option<String>,
    /// The origins of pages that may show it in a frame.
    pub(crate) embed_in: Vec<String>,
}

/// Reads `[dashboard]`.
pub(super) fn read(keys: &Keys, errors: &mut Vec<String>) -> DashboardOrigins {
    let given = &keys.dashboard;
    let mut read = |key: &str, text: &str, like: &str| {
        let origin = origin(text).map(|(origin, _)| origin);
        if origin.is_none() {
            errors.push(format!("{key} holds {text:?}; an origin looks like {like}"));
        }
        origin
    };
    let own = Some(&given.url).filter(|url| !url.is_empty());
    let own = own.and_then(|url| read("dashboard.url", url, "https://chat.example.com"));
    let embed_in: Vec<String> = given
        .embed_in
        .iter()
        .filter_map(|origin| read("dashboard.embed_in", origin, "https://app.example.com"))
        .collect();
    if !given.embed_in.is_empty() && !given.url.starts_with("https://") {
        errors.push(
            "dashboard.embed_in needs dashboard.url with https://: browsers keep no cookie of a framed page without it"
                .to_owned(),
        );
    }
    DashboardOrigins { own, embed_in }
}

/// What production demands.
pub(super) fn in_production(keys: &Keys, errors: &mut Vec<String>) {
    let url = &keys.dashboard.url;
    if keys.server.dashboard_listen.is_some() && url.is_empty() {
        errors.push("production needs dashboard.url with server.dashboard_listen, the origin that links to the dashboard lead to; for example CLOUDYBOT__DASHBOARD__URL=https://chat.example.com".to_owned());
    }
    if !url.is_empty() && !url.starts_with("https://") {
        errors.push("dashboard.url must begin with https:// in production".to_owned());
    }
}
