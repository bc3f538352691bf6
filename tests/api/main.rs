//! Tests over HTTP, a folder for each family.

mod release;
