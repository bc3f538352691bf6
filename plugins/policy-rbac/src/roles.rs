//! The roles that need no definition.
//!
//! `reader` to `admin` are the Inventory's four levels, each with all below it. `view`
//! and `create` are what the release API calls by those names; packages and releases
//! lie in no namespace, so they are held everywhere or not at all.

/// The names, for messages.
pub(crate) const NAMES: [&str; 6] = ["reader", "writer", "owner", "admin", "view", "create"];

const READER: &[&str] = &[
    "inventory:search",
    "inventory:provider:list",
    "inventory:namespace:list",
    "inventory:namespace:read",
    "inventory:unit:list",
    "inventory:unit:read",
    "inventory:version:read",
    "inventory:version:next",
    "inventory:version:download",
    "inventory:tag:list",
    "event:read",
];
const WRITER: &[&str] = &[
    "inventory:version:register",
    "inventory:version:upload",
    "inventory:version:yank",
    "inventory:tag:set",
    "inventory:tag:delete",
];
const OWNER: &[&str] = &["inventory:namespace:create", "inventory:namespace:update"];
const ADMIN: &[&str] = &["*"];
const VIEW: &[&str] = &[
    "package:read",
    "package:list",
    "repository:read",
    "release:read",
    "release:list",
    "release:logs",
    "release:history",
    "event:read",
];
const CREATE: &[&str] = &[
    "package:upload",
    "package:delete",
    "repository:refresh",
    "release:install",
    "release:upgrade",
    "release:rollback",
    "release:scale",
    "release:cancel",
    "release:delete",
    "release:actuate",
    "release:plan",
];

/// The actions of a role, in parts; `None` for a role that is not built in.
pub(crate) fn actions(role: &str) -> Option<&'static [&'static [&'static str]]> {
    Some(match role {
        "reader" => &[READER],
        "writer" => &[READER, WRITER],
        "owner" => &[READER, WRITER, OWNER],
        "admin" => &[ADMIN],
        "view" => &[VIEW],
        "create" => &[VIEW, CREATE],
        _ => return None,
    })
}

/// Whether a pattern, which may end with `*`, covers a text.
pub(crate) fn covers(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}
