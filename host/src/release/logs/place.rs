//! How far one has followed the logs of a release, as a text that one can come back
//! with.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::sources::Source;
use crate::plugins::deployer::LogPlace;

/// Longer ones are given to nobody: they would not fit into a request's head.
const BYTES_MAX: usize = 12 << 10;

/// A place in the logs of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Instance, output and position of all that was read, by the application's id.
    #[serde(rename = "r")]
    read: BTreeMap<String, Vec<(String, String, String)>>,
    /// What has been given out of the piece behind one of them.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) taken: Option<Taken>,
}

/// Lines of a piece that are behind one: application, instance, output, how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken(pub(super) String, pub(super) String, pub(super) String, pub(super) usize);

impl Place {
    /// How far these were read.
    pub(super) fn of(sources: &[Source], taken: Option<Taken>) -> Place {
        let of = |it: &LogPlace| (it.instance.clone(), it.output.clone(), it.position.clone());
        let read = sources
            .iter()
            .map(|it| (it.deployment_id.clone(), it.read.iter().map(of).collect()))
            .collect();
        Place { read, taken }
    }

    /// The text for it, where it is not too long.
    pub(super) fn text(&self) -> Option<String> {
        let json = serde_json::to_vec(self).ok()?;
        let text = URL_SAFE_NO_PAD.encode(json);
        (text.len() <= BYTES_MAX).then_some(text)
    }

    /// Reads such a text.
    pub fn read(text: &str) -> Option<Place> {
        if text.len() > BYTES_MAX {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    /// How far an application's log was read.
    pub(super) fn places_of(&self, deployment_id: &str) -> Vec<LogPlace> {
        let known = self.read.get(deployment_id).into_iter().flatten();
        let place = |(instance, output, position): &(String, String, String)| LogPlace {
            instance: instance.clone(),
            output: output.clone(),
            position: position.clone(),
        };
        known.map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let at = |position: &str| ("a.web-v1-0".to_owned(), "stdout".to_owned(), position.into());
        let taken = Taken("a.web-v1".into(), "a.web-v1-0".into(), "stdout".into(), 7);
        let place = Place {
            read: [("a.web-v1".to_owned(), vec![at("x.1f"), at("")])].into(),
            taken: Some(taken),
        };
        assert_eq!(Place::read(&place.text().unwrap()), Some(place.clone()));
        assert_eq!(place.places_of("a.web-v1").len(), 2);
        assert_eq!(place.places_of("other"), []);
        for bad in ["", "!", "e30", "42", &URL_SAFE_NO_PAD.encode("{\"r\":{},\"x\":1}")] {
            assert_eq!(Place::read(bad), None, "{bad}");
        }
        let long = Place { read: [("x".repeat(BYTES_MAX), Vec::new())].into(), taken: None };
        assert_eq!(long.text(), None);
        assert_eq!(Place::read(&"A".repeat(BYTES_MAX + 1)), None);
    }
}
