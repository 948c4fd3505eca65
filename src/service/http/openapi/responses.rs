//! What operations answer besides what they are asked for: each kind of operation has its refusals, described once.

use std::collections::BTreeMap;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{OpenApi, Ref, RefOr};

use super::requests;
use crate::http::problem::CONTENT_TYPE;

/// A refusal that whole kinds of operations share.
struct SharedRefusal {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Whether an operation may answer so.
    of: fn(&Operation) -> bool,
}

/// What administrators' actions answer to a token that may only look.
const VIEW_ONLY: SharedRefusal = SharedRefusal {
    status: "403",
    name: "ViewOnly",
    description: "The token may look and not act (`view_only`).",
    of: |_| true,
};

/// Of several with one status that an operation may answer, the last one is described.
const SHARED: [SharedRefusal; 9] = [
    SharedRefusal {
        status: "400",
        name: "Unreadable",
        description: "A parameter cannot be read, is unknown or holds a NUL, or the body is no JSON; the detail names it.",
        of: |_| true,
    },
    SharedRefusal {
        status: "401",
        name: "Unauthorized",
        description: "The bearer token is missing, or not the one of this part of the interface.",
        of: |_| true,
    },
    SharedRefusal {
        status: "413",
        name: "TooLarge",
        description: "The body has more than 64 KiB.",
        of: |operation| operation.request_body.is_some(),
    },
    SharedRefusal {
        status: "415",
        name: "NoJson",
        description: "The body's content type is not application/json.",
        of: |operation| operation.request_body.is_some(),
    },
    SharedRefusal {
        status: "421",
        name: "Misdirected",
        description: "The request's Host is none of this service.",
        of: |_| true,
    },
    SharedRefusal {
        status: "421",
        name: "OtherCell",
        description: "The user belongs to another cell, which `cell` names (`other_cell`), or the request's Host is none of this service.",
        of: names_user,
    },
    SharedRefusal {
        status: "422",
        name: "Invalid",
        description: "A parameter or a field of the body can be read and makes no sense; the detail names it.",
        of: |operation| operation.request_body.is_some() || operation.parameters.is_some(),
    },
    SharedRefusal {
        status: "500",
        name: "ServiceError",
        description: "An error of the service itself; its log tells more.",
        of: |_| true,
    },
    SharedRefusal {
        status: "503",
        name: "Unavailable",
        description: "The database does not answer.",
        of: |_| true,
    },
];

/// Whether an operation's path names a user.
fn names_user(operation: &Operation) -> bool {
    let is_user = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == "user" && parameter.parameter_in == ParameterIn::Path);
    operation.parameters.iter().flatten().any(is_user)
}

/// The shared refusals, for the description's components.
pub(super) fn shared() -> impl Iterator<Item = (String, RefOr<Response>)> {
    SHARED.into_iter().chain([VIEW_ONLY]).map(|shared| {
        let response = ResponseBuilder::new().description(shared.description).build();
        (shared.name.to_owned(), RefOr::T(with_problem(response)))
    })
}

/// Describes what the operations have in common: the token, their kinds' refusals, and that each refusal brings a problem. A success without words of its
/// own has those of what it brings. `has_rights`: a token may be for looking alone.
pub(super) fn complete(api: &mut OpenApi, scheme: &str, has_rights: bool) {
    let components = api.components.get_or_insert_with(Default::default);
    for (acts, operation) in api.paths.paths.values_mut().flat_map(operations) {
        requests::complete(operation);
        operation.security = Some(vec![SecurityRequirement::new(scheme, Vec::<String>::new())]);
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            if status.as_str() >= "400" {
                *response = with_problem(std::mem::take(response));
            } else if response.description.is_empty() {
                response.description = said_of_body(response, components).unwrap_or_default();
            }
        }
        let shared: BTreeMap<_, _> = SHARED
            .iter()
            .chain((acts && has_rights).then_some(&VIEW_ONLY))
            .filter(|shared| (shared.of)(operation))
            .map(|shared| (shared.status.to_owned(), RefOr::Ref(Ref::from_response_name(shared.name))))
            .collect();
        for (status, response) in shared {
            operation.responses.responses.entry(status).or_insert(response);
        }
    }
}

/// The operations of a path, and whether each changes something.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let acts = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    let looks = item.get.as_mut().map(|operation| (false, operation));
    looks.into_iter().chain(acts.into_iter().flatten().map(|operation| (true, operation)))
}

fn with_problem(mut response: Response) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    response.content.clear();
    response.content.insert(CONTENT_TYPE.to_owned(), RefOr::T(content));
    response
}

/// What the description says of the body's type.
fn said_of_body(response: &Response, components: &Components) -> Option<String> {
    let RefOr::T(content) = response.content.values().next()? else { return None };
    let RefOr::Ref(body) = content.schema.as_ref()? else { return None };
    let name = body.ref_location.rsplit('/').next()?;
    match components.schemas.get(name)? {
        RefOr::T(Schema::Object(object)) => object.description.clone(),
        RefOr::T(Schema::AllOf(all)) => all.description.clone(),
        _ => None,
    }
}
