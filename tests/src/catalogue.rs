//! Unit releases in any number, the same each time: what an organisation that has
//! been at it for years might have.

/// Releases of many units, in the order in which they might have been registered.
///
/// A unit has 1 to 19 releases, a namespace 200 units, a release 1 to 5 dependencies.
pub struct Catalogue {
    // How many releases each unit has.
    releases: Vec<u8>,
    seed: u64,
}

/// One release.
pub struct Release {
    /// The namespace.
    pub namespace: String,
    /// The unit.
    pub unit: String,
    /// The version.
    pub version: String,
    /// What is registered.
    pub json: String,
}

const UNITS_PER_NAMESPACE: usize = 200;

const SUBJECTS: [&str; 40] = [
    "account",
    "address",
    "audit",
    "basket",
    "billing",
    "booking",
    "campaign",
    "card",
    "catalogue",
    "checkout",
    "claim",
    "content",
    "credit",
    "customer",
    "delivery",
    "device",
    "discount",
    "document",
    "event",
    "feature",
    "fraud",
    "identity",
    "image",
    "inventory",
    "invoice",
    "ledger",
    "loyalty",
    "mail",
    "media",
    "message",
    "order",
    "payment",
    "pricing",
    "product",
    "quote",
    "report",
    "search",
    "shipping",
    "stock",
    "subscription",
];
const KINDS: [&str; 20] = [
    "api",
    "adapter",
    "agent",
    "archive",
    "batch",
    "cache",
    "client",
    "console",
    "database",
    "exporter",
    "frontend",
    "gateway",
    "importer",
    "job",
    "library",
    "proxy",
    "router",
    "scheduler",
    "store",
    "worker",
];
const VERBS: [&str; 8] =
    ["accepts", "checks", "collects", "forwards", "keeps", "prepares", "shows", "translates"];
const LICENSES: [&str; 4] = ["Apache-2.0", "MIT", "BSD-3-Clause", "Proprietary"];
const SYLLABLES: [&str; 24] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su",
    "ta", "ve", "wi", "xo", "yu", "za", "bre", "dri", "flo",
];

impl Catalogue {
    /// A catalogue of exactly that many releases.
    pub fn new(count: usize, seed: u64) -> Catalogue {
        let mut catalogue = Catalogue { releases: Vec::new(), seed };
        let mut left = count;
        while left > 0 {
            let unit = catalogue.releases.len();
            let more = (1 + catalogue.number(unit, "releases", 19)).min(left);
            catalogue.releases.push(u8::try_from(more).expect("19 at the most"));
            left -= more;
        }
        catalogue
    }

    /// How many units there are.
    pub fn units(&self) -> usize {
        self.releases.len()
    }

    /// How many releases a unit has.
    pub fn releases_of(&self, unit: usize) -> usize {
        self.releases[unit].into()
    }

    /// The namespace of a unit.
    pub fn namespace(&self, unit: usize) -> String {
        let number = unit / UNITS_PER_NAMESPACE;
        format!("{}-{number}", SUBJECTS[number % SUBJECTS.len()])
    }

    /// A unit's name.
    pub fn name(&self, unit: usize) -> String {
        let (namespace, index) = (unit / UNITS_PER_NAMESPACE, unit % UNITS_PER_NAMESPACE);
        let kind = (index / SUBJECTS.len() + namespace) % KINDS.len();
        format!("{}-{}", SUBJECTS[index % SUBJECTS.len()], KINDS[kind])
    }

    /// A unit's release of that number, counted from 0.
    pub fn version(number: usize) -> String {
        format!("{}.{}.{}", 1 + number / 12, number % 12 / 4, number % 4)
    }

    /// A word that few units have but this one.
    pub fn rare_word(&self, unit: usize) -> String {
        let syllable = |place| SYLLABLES[self.number(unit, place, SYLLABLES.len())];
        ["first", "second", "third", "fourth"].map(syllable).concat()
    }

    /// All releases: the first of each unit, then the second of those that have one.
    pub fn iter(&self) -> impl Iterator<Item = Release> {
        (0..19).flat_map(move |number| {
            let having = (0..self.units()).filter(move |it| self.releases_of(*it) > number);
            having.map(move |unit| self.release(unit, number))
        })
    }

    /// One release; of numbers beyond those that a unit has, one that is new.
    pub fn release(&self, unit: usize, number: usize) -> Release {
        let (namespace, name) = (self.namespace(unit), self.name(unit));
        let version = Catalogue::version(number);
        let one = |of: &[&'static str], what| of[self.number(unit, what, of.len())];
        let (subject, object) = (one(&SUBJECTS, "subject"), one(&SUBJECTS, "object"));
        let description = format!(
            "The {subject} service that {} each {object} of the {} teams, also known as {}",
            one(&VERBS, "verb"),
            one(&SUBJECTS, "team"),
            self.rare_word(unit),
        );
        let depends: Vec<_> = (0..1 + self.number(unit, "dependencies", 5))
            .map(|it| {
                let needed = self.number(unit * 19 + number, &format!("needs {it}"), self.units());
                let its = self.number(unit * 19 + number, "at", self.releases_of(needed));
                let (namespace, name) = (self.namespace(needed), self.name(needed));
                let id = format!("{namespace}/{name}-v{}", Catalogue::version(its));
                serde_json::json!({ "release_id": id })
            })
            .collect();
        let json = serde_json::json!({
            "name": name, "version": version, "project": namespace, "description": description,
            "license": one(&LICENSES, "license"), "depends": depends,
            "metadata": { "team": one(&SUBJECTS, "team"), "tier": one(&["1", "2", "3"], "tier") },
            "provides": [{ "name": format!("{subject}-http") }],
            "consumes": [{ "name": one(&["postgres", "kafka", "redis", "vault"], "consumes") }],
            "inputs": [
                { "id": "replicas", "type": "integer", "default": 2 },
                { "id": "region", "type": "string", "default": "eu-west-1" },
            ],
            "files": { "deploy.sh": format!("{:032x}", self.hash(unit, "file")) },
            "stages": { "deploy": { "script": "deploy.sh" } },
            "git_revision": format!("{:040x}", self.hash(unit * 19 + number, "revision")),
        });
        Release { namespace, unit: name, version, json: json.to_string() }
    }

    /// A number below `end` that depends on nothing but the seed and its use.
    fn number(&self, of: usize, what: &str, end: usize) -> usize {
        let number = self.hash(of, what) % end.max(1) as u64;
        usize::try_from(number).expect("it is below a usize")
    }

    fn hash(&self, of: usize, what: &str) -> u64 {
        let mut hash = mixed(self.seed ^ of as u64);
        for byte in what.bytes() {
            hash = mixed(hash ^ u64::from(byte));
        }
        hash
    }
}

/// SplitMix64's step.
fn mixed(state: u64) -> u64 {
    let mut it = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_catalogue_has_as_many_releases_as_asked_for_and_none_twice() {
        for count in [1, 100, 25_000] {
            let catalogue = Catalogue::new(count, 7);
            let ids = catalogue.iter().map(|it| (it.namespace, it.unit, it.version));
            assert_eq!(ids.collect::<BTreeSet<_>>().len(), count);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_releases_which_can_be_registered() {
        let all = |seed| Catalogue::new(300, seed).iter().map(|it| it.json).collect::<Vec<_>>();
        assert!(all(1) == all(1) && all(1) != all(2));
        for json in all(1) {
            let release = chandlery::inventory::read_release(json.as_bytes()).expect("it is valid");
            let needs = release.metadata.depends.expect("a list").len();
            assert!((1..=5).contains(&needs), "{json}");
        }
    }
}
