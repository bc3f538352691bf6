//! What can go wrong, in the words of each family; described once for all routes.

use utoipa::openapi::{
    Content, Header, RefOr, Schema,
    response::{Response, ResponseBuilder},
    schema::{ObjectBuilder, Type},
};

use super::content::{named, reference};
use crate::api::{family::Family, release::FailureBody, v1::Problem};

/// What a family answers with that status, and the name that it is described under.
pub(super) fn component(family: Family, status: u16) -> (String, Response) {
    let mut answer = ResponseBuilder::new().description(reason(status));
    match family {
        Family::Release => {
            answer =
                answer.content("application/json", Content::new(Some(reference::<FailureBody>())));
        }
        Family::Own => {
            let body = Content::new(Some(reference::<Problem>()));
            answer = answer.content("application/problem+json", body);
        }
        Family::Inventory if says_why(status) => {
            answer = answer.content("text/plain", Content::new(Some(string())));
        }
        Family::Inventory => {}
    }
    match status {
        401 => answer = answer.header("WWW-Authenticate", Header::new(string())),
        503 => answer = answer.header("Retry-After", Header::new(string())),
        _ => {}
    }
    (format!("{family:?}{status}"), answer.build())
}

/// The types that these answers name.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    [named::<FailureBody>(), named::<Problem>()].concat()
}

/// What a status means here.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Done, and kept.",
        202 => "It waits for a grant; what was in force still is.",
        204 => "Done, and nothing more to say.",
        206 => "The part that was asked for.",
        302 => "It is somewhere else.",
        304 => "What the client has is still right.",
        400 => "The request is wrong; the text says how.",
        401 => "The server asks who is there: user and password are missing or wrong.",
        403 => "The policy in force does not allow it.",
        404 => "It does not exist.",
        405 => "The path does not take that method.",
        409 => "What is stored now does not allow it.",
        410 => "It is kept no longer.",
        412 => "It has changed since the client looked.",
        413 => "The body is larger than the limits allow.",
        415 => "The body is of a type that is not read.",
        416 => "The package has no such part.",
        500 => "The server broke; its log says how.",
        503 => "Too much at once, or not fit for work: the same request may work later.",
        _ => "",
    }
}

/// Whether the inventory's answer has a text.
fn says_why(status: u16) -> bool {
    !matches!(status, 404 | 416 | 500)
}

fn string() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}
