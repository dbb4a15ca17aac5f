//! What the examples share: which service they talk to, the clock, and how they write numbers.

// Each example is a program of its own and uses its part.
#![allow(dead_code)]

use std::time::Instant;

use kinesis_producer::config::{Config, Credentials};

/// The moment now: measuring is a program's own business.
#[expect(clippy::disallowed_methods, reason = "only the library has a rule about clocks")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Settings for AWS, or for another endpoint if there is one. Such an endpoint seldom looks at region and credentials, so what
/// the environment does not say is made up.
pub(crate) fn service_config(endpoint_url: Option<&str>, region: Option<&str>) -> Config {
    let mut config = Config::new();
    if let Some(region) = region {
        config = config.region(region);
    }
    let Some(endpoint_url) = endpoint_url else { return config };
    config = config.endpoint_url(endpoint_url);
    if region.is_none() && !is_set(&["AWS_REGION", "AWS_DEFAULT_REGION"]) {
        config = config.region("us-east-1");
    }
    if !has_credentials() {
        config = config.credentials(Credentials::Static {
            access_key_id: "none".to_owned(),
            secret_access_key: "none".to_owned(),
            session_token: None,
        });
    }
    config
}

/// Whether the environment gives credentials: asking the whole AWS chain takes seconds where there are none.
fn has_credentials() -> bool {
    let file = std::env::home_dir().is_some_and(|home| home.join(".aws/credentials").exists());
    file || is_set(&[
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ])
}

fn is_set(variables: &[&str]) -> bool {
    variables.iter().any(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
