//! The plugins that the server brings along, compiled by `build.rs`.

/// A plugin inside the binary.
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The SHA-256 of the component, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// The component, with its manifest.
    pub component: &'static [u8],
}

/// All of them, by name.
pub const SHIPPED: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Finds one by name.
pub fn shipped(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|it| it.name == name)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_shipped_plugin_is_a_component_with_its_own_digest() {
        let names = [
            "deployer-dry-run",
            "deployer-local",
            "hook-webhook",
            "policy-rbac",
            "template-mustache",
        ];
        assert!(names.iter().all(|it| shipped(it).is_some()), "one of {names:?} is not shipped");
        for plugin in SHIPPED {
            assert_eq!(&plugin.component[..8], b"\0asm\x0d\0\x01\0", "{}", plugin.name);
            assert_eq!(hex::encode(Sha256::digest(plugin.component)), plugin.sha256);
        }
    }
}
