//! Tests over HTTP, a folder for each family.

mod inventory;
mod release;
