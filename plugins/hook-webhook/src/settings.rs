//! The plugin's settings: read whole, with every mistake named by its place.

use chandlery_sdk::types::Diagnostic;
use serde_json::{Map, Value};

const URLS_MAX: usize = 20;
const PATTERNS_MAX: usize = 100;
const HEADERS_MAX: usize = 20;
const TEXT_BYTES_MAX: usize = 2_048;

/// What an operator configures.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Told of events.
    pub(crate) urls: Vec<Endpoint>,
    /// Asked before operations, in this order.
    pub(crate) before: Vec<Before>,
    /// Whether the URLs in hooks documents are told of uploads.
    pub(crate) follow_documents: bool,
}

/// A URL, and what goes to it how.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    /// Patterns of actions.
    actions: Vec<String>,
    /// The name of the secret to sign with.
    pub(crate) secret: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout_ms: u32,
    /// What is posted to it.
    pub(crate) format: Format,
}

/// What is posted for an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// The event.
    #[default]
    Event,
    /// For an upload, what Escape's Inventory posts to its web hook; nothing for others.
    Escape,
}

/// A URL that is asked.
#[derive(Debug, PartialEq)]
pub(crate) struct Before {
    pub(crate) endpoint: Endpoint,
    pub(crate) on_failure: OnFailure,
}

/// What it means when there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The operation fails, as far as the binding's fail mode says so.
    Fail,
    /// The operation goes on.
    Allow,
}

impl Endpoint {
    /// A URL that gets what is posted to it, and nothing more.
    pub(crate) fn bare(url: &str) -> Endpoint {
        Endpoint { url: url.to_owned(), ..Endpoint::default() }
    }

    /// The URL's scheme and host, for messages: what comes after them, or before the
    /// host, may hold a token.
    pub(crate) fn shown(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let place = &rest[..end];
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        format!("{scheme}://{host}")
    }

    /// Whether it is to hear of this action.
    pub(crate) fn wants(&self, action: &str) -> bool {
        self.actions.iter().any(|it| matches(it, action))
    }
}

impl Settings {
    /// Reads settings, with all that is wrong with them. They are only good for use
    /// when no finding is an error.
    pub(crate) fn read(text: &str) -> (Settings, Vec<Diagnostic>) {
        let mut reader = Reader { findings: Vec::new() };
        let settings = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(it)) => reader.settings(&it),
            Ok(_) => {
                reader.error("", "the settings must be an object", "begin with `{`");
                Settings::default()
            }
            Err(why) => {
                reader.error("", &format!("the settings are no JSON: {why}"), "begin with `{`");
                Settings::default()
            }
        };
        (settings, reader.findings)
    }
}

struct Reader {
    findings: Vec<Diagnostic>,
}

impl Reader {
    fn settings(&mut self, object: &Map<String, Value>) -> Settings {
        self.known(object, "", &["urls", "before", "follow_documents"]);
        let mut settings = Settings::default();
        for (place, it) in self.objects(object, "urls") {
            let known = ["url", "events", "secret", "headers", "timeout_ms", "format"];
            self.known(&it, &place, &known);
            let endpoint = self.endpoint(&it, &place, "events", 5_000, 8_000);
            let format = self.format(it.get("format"), &format!("{place}/format"));
            settings.urls.push(Endpoint { format, ..endpoint });
        }
        for (place, it) in self.objects(object, "before") {
            let known = ["url", "actions", "secret", "headers", "timeout_ms", "on_failure"];
            self.known(&it, &place, &known);
            let endpoint = self.endpoint(&it, &place, "actions", 1_500, 60_000);
            let on_failure = self.on_failure(it.get("on_failure"), &format!("{place}/on_failure"));
            settings.before.push(Before { endpoint, on_failure });
        }
        settings.follow_documents = self.flag(object.get("follow_documents"), "/follow_documents");
        let nothing = settings.urls.is_empty() && settings.before.is_empty();
        if nothing && !settings.follow_documents && self.findings.is_empty() {
            let what = "neither `urls` nor `before` names a URL, and `follow_documents` is not \
                        set: the plugin does nothing";
            self.findings.push(Diagnostic::warning("settings.empty", "", what));
        }
        settings
    }

    fn objects(
        &mut self,
        object: &Map<String, Value>,
        name: &str,
    ) -> Vec<(String, Map<String, Value>)> {
        let items = match object.get(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) if items.len() <= URLS_MAX => items,
            Some(_) => {
                let what = format!("`{name}` must be a list of at most {URLS_MAX} objects");
                self.error(&format!("/{name}"), &what, "write `[{ \"url\": \"https://…\" }]`");
                return Vec::new();
            }
        };
        let mut objects = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = format!("/{name}/{index}");
            match item {
                Value::Object(it) => objects.push((place, it.clone())),
                _ => {
                    self.error(&place, "it must be an object", "write `{ \"url\": \"https://…\" }`")
                }
            }
        }
        objects
    }

    fn endpoint(
        &mut self,
        object: &Map<String, Value>,
        place: &str,
        actions: &str,
        timeout_default: u32,
        timeout_max: u32,
    ) -> Endpoint {
        Endpoint {
            url: self.url(object.get("url"), &format!("{place}/url")),
            actions: self.patterns(object.get(actions), &format!("{place}/{actions}")),
            secret: self.secret(object.get("secret"), &format!("{place}/secret")),
            headers: self.headers(object.get("headers"), &format!("{place}/headers")),
            timeout_ms: self.timeout(
                object.get("timeout_ms"),
                &format!("{place}/timeout_ms"),
                timeout_default,
                timeout_max,
            ),
            format: Format::Event,
        }
    }

    fn format(&mut self, value: Option<&Value>, place: &str) -> Format {
        match value {
            None | Some(Value::Null) => Format::Event,
            Some(Value::String(it)) if it == "event" => Format::Event,
            Some(Value::String(it)) if it == "escape" => Format::Escape,
            Some(_) => {
                self.error(place, "it must be `event` or `escape`", "the default is `event`");
                Format::Event
            }
        }
    }

    fn flag(&mut self, value: Option<&Value>, place: &str) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(it)) => *it,
            Some(_) => {
                self.error(place, "it must be `true` or `false`", "the default is `false`");
                false
            }
        }
    }

    fn url(&mut self, value: Option<&Value>, place: &str) -> String {
        let hint = "write `https://host/path`";
        let Some(Value::String(url)) = value else {
            self.error(place, "a URL is needed", hint);
            return String::new();
        };
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let authority = rest.and_then(|it| it.split(['/', '?', '#']).next()).unwrap_or_default();
        if authority.is_empty() || url.len() > TEXT_BYTES_MAX || !url.chars().all(is_url_letter) {
            self.error(place, "it must be an absolute `http` or `https` URL", hint);
        } else if authority.contains('@') {
            let hint = "put them in a header: `\"authorization\": \"Bearer {secret:NAME}\"`";
            self.error(place, "a URL must not hold a name or a password", hint);
        } else if url.starts_with("http://") && !is_loopback(authority) {
            let what = "events travel unencrypted over `http`";
            self.findings
                .push(Diagnostic::warning("settings.http", place, what).hint("use `https`"));
        }
        url.clone()
    }

    fn patterns(&mut self, value: Option<&Value>, place: &str) -> Vec<String> {
        let items = match value {
            None | Some(Value::Null) => return vec!["*".to_owned()],
            Some(Value::Array(items)) if (1..=PATTERNS_MAX).contains(&items.len()) => {
                items.as_slice()
            }
            Some(_) => &[],
        };
        let letter = |it: char| it.is_ascii_alphanumeric() || ":*-_".contains(it);
        let fits = |it: &&str| !it.is_empty() && it.len() <= 200 && it.chars().all(letter);
        let patterns = items.iter().filter_map(|it| it.as_str().filter(fits).map(str::to_owned));
        let patterns = patterns.collect::<Vec<_>>();
        if patterns.is_empty() || patterns.len() < items.len() {
            let what = format!("it must be a list of 1 to {PATTERNS_MAX} patterns of actions");
            self.error(place, &what, "write `[\"inventory:version:register\", \"release:*\"]`");
        }
        patterns
    }

    fn secret(&mut self, value: Option<&Value>, place: &str) -> Option<String> {
        match value {
            None | Some(Value::Null) => None,
            Some(Value::String(it)) if !it.is_empty() && it.len() <= 200 => Some(it.clone()),
            Some(_) => {
                let hint = "name one of the binding's secrets; never write the secret itself here";
                self.error(place, "it must be the name of a secret", hint);
                None
            }
        }
    }

    fn headers(&mut self, value: Option<&Value>, place: &str) -> Vec<(String, String)> {
        let object = match value {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Object(it)) if it.len() <= HEADERS_MAX => it,
            Some(_) => {
                let what = format!("it must be an object of at most {HEADERS_MAX} headers");
                self.error(place, &what, "write `{ \"X-Team\": \"shop\" }`");
                return Vec::new();
            }
        };
        let mut headers = Vec::new();
        for (name, value) in object {
            let place = format!("{place}/{}", pointer(name));
            let token = |it: char| it.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(it);
            let own = name.to_ascii_lowercase();
            let visible = |it: char| it == '\t' || (!it.is_control() && it.is_ascii());
            match value {
                _ if name.is_empty() || !name.chars().all(token) => {
                    self.error(&place, "it is no name of a header", "letters, digits and `-`");
                }
                _ if own.starts_with("x-chandlery-")
                    || own == "content-type"
                    || own == "user-agent" =>
                {
                    self.error(&place, "this header is the plugin's own", "leave it out");
                }
                Value::String(it) if it.len() <= TEXT_BYTES_MAX && it.chars().all(visible) => {
                    headers.push((name.clone(), it.clone()));
                }
                _ => self.error(&place, "it must be a line of ASCII text", "write `\"text\"`"),
            }
        }
        headers
    }

    fn timeout(&mut self, value: Option<&Value>, place: &str, default: u32, max: u32) -> u32 {
        match value {
            None | Some(Value::Null) => default,
            Some(it) => match it.as_u64().and_then(|it| u32::try_from(it).ok()) {
                Some(it) if (1..=max).contains(&it) => it,
                _ => {
                    let what = format!("it must be a number of milliseconds from 1 to {max}");
                    self.error(place, &what, &format!("the default is {default}"));
                    default
                }
            },
        }
    }

    fn on_failure(&mut self, value: Option<&Value>, place: &str) -> OnFailure {
        match value {
            None | Some(Value::Null) => OnFailure::Fail,
            Some(Value::String(it)) if it == "fail" => OnFailure::Fail,
            Some(Value::String(it)) if it == "allow" => OnFailure::Allow,
            Some(_) => {
                self.error(place, "it must be `fail` or `allow`", "the default is `fail`");
                OnFailure::Fail
            }
        }
    }

    fn known(&mut self, object: &Map<String, Value>, place: &str, names: &[&str]) {
        for name in object.keys().filter(|it| !names.contains(&it.as_str())) {
            let hint = format!("there are `{}`", names.join("`, `"));
            self.error(&format!("{place}/{}", pointer(name)), "it is not a setting", &hint);
        }
    }

    fn error(&mut self, place: &str, what: &str, hint: &str) {
        self.findings.push(Diagnostic::error("settings.invalid", place, what).hint(hint));
    }
}

/// Whether an action fits a pattern, in which `*` stands for any letters.
fn matches(pattern: &str, action: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

fn is_url_letter(it: char) -> bool {
    it.is_ascii_graphic() && !"\"<>\\^`{|}".contains(it)
}

fn is_loopback(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |it| it.0);
    host == "localhost" || host.starts_with("127.") || host == "[::1]" || authority == "[::1]"
}

fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use chandlery_sdk::types::Severity;

    use super::*;

    fn findings(text: &str) -> Vec<(Severity, String)> {
        let (_, findings) = Settings::read(text);
        findings.into_iter().map(|it| (it.severity, it.place)).collect()
    }

    #[test]
    fn a_url_alone_gets_everything_with_defaults() {
        let (settings, findings) = Settings::read(
            r#"{"urls": [{"url": "https://a.example.org"}], "before": [{"url": "https://b/"}]}"#,
        );
        assert_eq!(findings, []);
        let endpoint = |url: &str, timeout_ms| Endpoint {
            url: url.to_owned(),
            actions: vec!["*".to_owned()],
            timeout_ms,
            ..Endpoint::default()
        };
        assert_eq!(settings.urls, [endpoint("https://a.example.org", 5_000)]);
        let on_failure = OnFailure::Fail;
        assert_eq!(
            settings.before,
            [Before { endpoint: endpoint("https://b/", 1_500), on_failure }]
        );
        assert!(settings.urls[0].wants("anything"));
    }

    #[test]
    fn every_mistake_is_named_by_its_place() {
        let text = r#"{
            "url": "x",
            "urls": [
                { "url": "ftp://a" },
                { "url": "https://u:p@a", "events": [], "colour": "red" },
                { "url": "https://a", "events": ["a b"], "secret": "", "timeout_ms": 9000 },
                { "url": "https://a", "headers": { "X-Chandlery-Id": "1", "a b": "c", "A": "x\ny", "B": 1 } },
                7,
                { "url": "https://a", "format": "slack" }
            ],
            "follow_documents": "yes",
            "before": [{ "url": "https://a b", "on_failure": "maybe", "events": ["*"], "a/b": 1 }]
        }"#;
        let places = findings(text).into_iter().map(|(severity, place)| {
            assert_eq!(severity, Severity::Error);
            place
        });
        assert_eq!(
            places.collect::<Vec<_>>(),
            [
                "/url",
                "/urls/4",
                "/urls/0/url",
                "/urls/1/colour",
                "/urls/1/url",
                "/urls/1/events",
                "/urls/2/events",
                "/urls/2/secret",
                "/urls/2/timeout_ms",
                "/urls/3/headers/X-Chandlery-Id",
                "/urls/3/headers/a b",
                "/urls/3/headers/A",
                "/urls/3/headers/B",
                "/urls/5/format",
                "/before/0/events",
                "/before/0/a~1b",
                "/before/0/url",
                "/before/0/on_failure",
                "/follow_documents",
            ]
        );
    }

    #[test]
    fn settings_that_are_no_object_are_refused() {
        for text in ["", "[]", "null", r#"{"urls": {}}"#, r#"{"before": "https://a"}"#] {
            assert_eq!(findings(text)[0].0, Severity::Error, "{text}");
        }
    }

    #[test]
    fn what_is_probably_not_meant_gets_a_warning() {
        assert_eq!(findings("{}"), [(Severity::Warning, String::new())]);
        let of = |url: &str| findings(&format!(r#"{{"urls": [{{"url": "{url}"}}]}}"#));
        assert_eq!(of("http://a.example.org"), [(Severity::Warning, "/urls/0/url".to_owned())]);
        for url in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:80", "https://a"]
        {
            assert_eq!(of(url), [], "{url}");
        }
    }

    #[test]
    fn patterns_match_whole_actions() {
        let action = "inventory:version:register";
        for pattern in
            ["*", action, "inventory:*", "*:register", "inventory:*:register", "*version*", "*:*:*"]
        {
            assert!(matches(pattern, action), "{pattern}");
        }
        for pattern in
            ["inventory", "inventory:version", "version:*", "*:upload", "inventory:*:r", "*:*:*:*"]
        {
            assert!(!matches(pattern, action), "{pattern}");
        }
        assert!(!matches("ab*ba", "aba"));
    }

    #[test]
    fn a_message_shows_no_more_of_a_url_than_its_scheme_and_host() {
        for (url, shown) in [
            ("https://in.example.org", "https://in.example.org"),
            ("https://in.example.org:8443/hook/T0KEN", "https://in.example.org:8443"),
            ("https://in.example.org?token=T0KEN", "https://in.example.org"),
            ("https://in.example.org#T0KEN", "https://in.example.org"),
            ("https://ana:T0KEN@in.example.org/", "https://in.example.org"),
            ("https://[::1]:80/T0KEN", "https://[::1]:80"),
        ] {
            let endpoint = Endpoint { url: url.to_owned(), ..Endpoint::default() };
            assert_eq!(endpoint.shown(), shown);
        }
    }
}
