//! One signed POST, and what the rules need of the host for it.

pub(crate) use chandlery_sdk::http::{HttpError, Request, Response};
pub(crate) use chandlery_sdk::secrets::SecretError;
use chandlery_sdk::{clock, http, log, secrets, types::Label};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::settings::Endpoint;

/// The largest answer that is looked at.
const RESPONSE_BYTES_MAX: u32 = 256 << 10;

/// What the host lends; tests lend their own.
pub(crate) trait Host {
    fn send(&mut self, request: Request) -> Result<Response, HttpError>;
    fn reveal(&mut self, name: &str) -> Result<Vec<u8>, SecretError>;
    /// Milliseconds since the Unix epoch.
    fn now(&mut self) -> u64;
    fn warn(&mut self, message: &str);
}

/// The host's own.
pub(crate) struct Lent;

impl Host for Lent {
    fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        http::send(&request)
    }

    fn reveal(&mut self, name: &str) -> Result<Vec<u8>, SecretError> {
        secrets::reveal(name)
    }

    fn now(&mut self) -> u64 {
        clock::now()
    }

    fn warn(&mut self, message: &str) {
        log::warn(message);
    }
}

/// What is posted.
pub(crate) struct Message<'a> {
    pub(crate) id: &'a str,
    pub(crate) action: &'a str,
    pub(crate) attempt: u32,
    pub(crate) body: &'a [u8],
    /// Whether it says that it is JSON. Escape's web hook does not.
    pub(crate) typed: bool,
}

/// Why nothing came back.
pub(crate) enum NoAnswer {
    /// The grant does not cover the URL.
    Denied(String),
    /// The URL is not reached: no use in trying it again in this call.
    Unreachable(String),
    /// Something else.
    Failed(String),
}

impl NoAnswer {
    pub(crate) fn why(&self) -> &str {
        match self {
            NoAnswer::Denied(why) | NoAnswer::Unreachable(why) | NoAnswer::Failed(why) => why,
        }
    }
}

/// Posts a message, signed where the endpoint has a secret.
pub(crate) fn post(
    host: &mut dyn Host,
    endpoint: &Endpoint,
    message: &Message<'_>,
    timeout_ms: u32,
) -> Result<Response, NoAnswer> {
    let mut headers = vec![
        Label::new("user-agent", concat!("chandlery-hook-webhook/", env!("CARGO_PKG_VERSION"))),
        Label::new("x-chandlery-action", message.action),
        Label::new("x-chandlery-id", message.id),
        Label::new("x-chandlery-attempt", message.attempt.to_string()),
    ];
    if message.typed {
        headers.push(Label::new("content-type", "application/json"));
    }
    headers.extend(endpoint.headers.iter().map(|(name, value)| Label::new(name, value)));
    if let Some(name) = &endpoint.secret {
        let secret = host.reveal(name).map_err(|it| NoAnswer::Failed(no_secret(name, it)))?;
        let signature = signature(&secret, host.now() / 1000, message.body);
        headers.push(Label::new("x-chandlery-signature", signature));
    }
    let request = Request {
        method: "POST".to_owned(),
        url: endpoint.url.clone(),
        headers,
        body: Some(message.body.to_vec()),
        timeout_ms: Some(timeout_ms),
        max_response_bytes: Some(RESPONSE_BYTES_MAX),
    };
    host.send(request).map_err(no_answer)
}

/// `t=SECONDS,v1=HEX`: when, and the HMAC-SHA256 of `SECONDS.BODY`.
pub(crate) fn signature(secret: &[u8], seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key has any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let code = mac.finalize().into_bytes();
    let hex = code.iter().map(|it| format!("{it:02x}")).collect::<String>();
    format!("t={seconds},v1={hex}")
}

fn no_secret(name: &str, error: SecretError) -> String {
    match error {
        SecretError::NotGranted => {
            format!("the secret `{name}` is not granted: list it under `grants.secrets.reveal`")
        }
        SecretError::NotFound => {
            format!("the secret `{name}` is not configured: name its source under `secrets`")
        }
        SecretError::Unavailable(why) => format!("the secret `{name}` cannot be read: {why}"),
    }
}

fn no_answer(error: HttpError) -> NoAnswer {
    match error {
        HttpError::Denied(why) => NoAnswer::Denied(format!("it is not granted: {why}")),
        HttpError::Dns(why) => NoAnswer::Unreachable(format!("its name does not resolve: {why}")),
        HttpError::Connect(why) => NoAnswer::Unreachable(format!("nobody answers: {why}")),
        HttpError::Tls(why) => NoAnswer::Unreachable(format!("TLS failed: {why}")),
        HttpError::Timeout => NoAnswer::Unreachable("it took too long".to_owned()),
        HttpError::TooLarge => NoAnswer::Failed("its answer is too large".to_owned()),
        HttpError::Protocol(why) => NoAnswer::Failed(format!("its answer is no HTTP: {why}")),
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A host that answers as it is told and remembers what was sent.

    use std::collections::VecDeque;

    use super::*;

    pub(crate) struct Fake {
        pub(crate) sent: Vec<Request>,
        pub(crate) answers: VecDeque<Result<Response, HttpError>>,
        pub(crate) warnings: Vec<String>,
        pub(crate) now: u64,
        /// How long each request takes.
        pub(crate) took_ms: u64,
    }

    impl Fake {
        pub(crate) fn new(answers: impl IntoIterator<Item = Result<Response, HttpError>>) -> Fake {
            let (sent, warnings) = (Vec::new(), Vec::new());
            let answers = answers.into_iter().collect();
            Fake { sent, answers, warnings, now: 1_800_000_000_500, took_ms: 1 }
        }

        pub(crate) fn header(&self, request: usize, name: &str) -> Option<&str> {
            let mut headers = self.sent[request].headers.iter();
            headers.find(|it| it.key == name).map(|it| it.value.as_str())
        }
    }

    impl Host for Fake {
        fn send(&mut self, request: Request) -> Result<Response, HttpError> {
            self.sent.push(request);
            self.now += self.took_ms;
            self.answers.pop_front().expect("no more requests than answers")
        }

        fn reveal(&mut self, name: &str) -> Result<Vec<u8>, SecretError> {
            if name == "key" { Ok(b"k3y".to_vec()) } else { Err(SecretError::NotGranted) }
        }

        fn now(&mut self) -> u64 {
            self.now
        }

        fn warn(&mut self, message: &str) {
            self.warnings.push(message.to_owned());
        }
    }

    pub(crate) fn answer(status: u16, body: &str) -> Result<Response, HttpError> {
        Ok(Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_covers_the_moment_and_the_body() {
        let expected =
            "t=1800000000,v1=d2989411e026996cd9b43328a9fd0145f202ce0ac4b575e6b93d652b0fb904ff";
        assert_eq!(signature(b"k3y", 1_800_000_000, br#"{"a":1}"#), expected);
        assert_ne!(signature(b"k3y", 1_800_000_001, br#"{"a":1}"#)[13..], expected[13..]);
    }
}
