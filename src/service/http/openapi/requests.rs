//! What `Option` does not say of requests: what may be left out is not null.

use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};

use crate::http::input::NO_NUL;

/// Describes parameters and the body as they are taken.
pub(super) fn complete(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter {
            leave_out_null(schema);
            leave_out_nul(schema);
        }
    }
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(either))) = &content.schema
            && let Some(given) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            content.schema = Some(given.clone());
        }
    }
}

fn leave_out_null(schema: &mut Object) {
    if let SchemaType::Array(types) = &mut schema.schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = types.as_slice() {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
}

/// A text without words or a pattern of its own has every character but NUL.
fn leave_out_nul(schema: &mut Object) {
    let is_free = schema.enum_values.is_none() && schema.format.is_none() && schema.pattern.is_none();
    if is_free && schema.schema_type == SchemaType::Type(Type::String) {
        schema.pattern = Some(NO_NUL.to_owned());
    }
}
