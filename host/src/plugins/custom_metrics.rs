//! Metrics of a plugin's own. Names and labels come from a guest, so their number
//! is bounded: a series once made is kept for as long as the server runs.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

use metrics::{counter, histogram};

use super::types::Label;

const SERIES_MAX: usize = 200;
const LABELS_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 128;

/// The metrics of one binding.
pub(super) struct CustomMetrics {
    plugin: String,
    series: Mutex<HashSet<u64>>,
}

impl CustomMetrics {
    pub(super) fn new(plugin: &str) -> CustomMetrics {
        CustomMetrics { plugin: plugin.to_owned(), series: Mutex::default() }
    }

    /// Adds to a counter.
    pub(super) fn count(&self, name: &str, by: u64, labels: &[Label]) {
        if let Some((name, labels)) = self.series("counter", name, labels) {
            counter!(name, labels).increment(by);
        }
    }

    /// Records a value.
    pub(super) fn observe(&self, name: &str, value: f64, labels: &[Label]) {
        if !value.is_finite() {
            return self.dropped();
        }
        if let Some((name, labels)) = self.series("histogram", name, labels) {
            histogram!(name, labels).record(value);
        }
    }

    /// The full name and labels, if they are well-formed and there is room.
    fn series(
        &self,
        kind: &str,
        name: &str,
        labels: &[Label],
    ) -> Option<(String, Vec<metrics::Label>)> {
        let fits = is_name(name)
            && labels.len() <= LABELS_MAX
            && labels.iter().all(|it| {
                is_name(&it.key) && it.key != "plugin" && it.value.len() <= VALUE_BYTES_MAX
            });
        if !fits || !self.has_room(kind, name, labels) {
            self.dropped();
            return None;
        }
        let plugin = metrics::Label::new("plugin", self.plugin.clone());
        let labels = labels.iter().map(|it| metrics::Label::new(it.key.clone(), it.value.clone()));
        Some((
            format!("chandlery_plugin_custom_{name}"),
            std::iter::once(plugin).chain(labels).collect(),
        ))
    }

    fn has_room(&self, kind: &str, name: &str, labels: &[Label]) -> bool {
        let mut hasher = DefaultHasher::new();
        (kind, name).hash(&mut hasher);
        for label in labels {
            (&label.key, &label.value).hash(&mut hasher);
        }
        let mut series = self.series.lock().expect("nothing panics in here");
        let id = hasher.finish();
        series.contains(&id) || (series.len() < SERIES_MAX && series.insert(id))
    }

    fn dropped(&self) {
        counter!("chandlery_plugin_custom_dropped_total", "plugin" => self.plugin.clone())
            .increment(1);
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|it: char| it.is_ascii_lowercase())
        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(key: &str, value: &str) -> Label {
        Label { key: key.into(), value: value.into() }
    }

    #[test]
    fn names_and_labels_are_checked_and_bounded() {
        let metrics = CustomMetrics::new("mailer");
        let (name, labels) = metrics.series("counter", "sent", &[label("to", "ops")]).unwrap();
        assert_eq!(name, "chandlery_plugin_custom_sent");
        assert_eq!(labels[0], metrics::Label::new("plugin", "mailer"));
        assert!(metrics.series("counter", "Sent\n", &[]).is_none());
        assert!(metrics.series("counter", "sent", &[label("plugin", "other")]).is_none());
        assert!(metrics.series("counter", "sent", &[label("to", &"x".repeat(129))]).is_none());
        for index in 0..SERIES_MAX * 2 {
            let labels = [label("n", &index.to_string())];
            assert_eq!(
                metrics.series("counter", "sent", &labels).is_some(),
                index < SERIES_MAX - 1,
                "{index}"
            );
        }
        assert!(metrics.series("counter", "sent", &[label("n", "0")]).is_some(), "known ones stay");
    }
}
