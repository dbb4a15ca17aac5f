//! What settings demand of each other, and the rules that texts keep. All problems are found at once, a line each, beginning
//! with the key.

use super::{Config, StreamConfig, key};
use crate::record::MAX_PARTITION_KEY_CHARS;

/// Bytes of the largest partition key: a UTF-8 character takes up to 4.
const MAX_PARTITION_KEY_BYTES: usize = 4 * MAX_PARTITION_KEY_CHARS;

/// All that is wrong with `config`.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut copy = config.clone();
    let mut problems: Vec<String> = key::all().filter_map(|key| key.problem(&mut copy)).collect();
    problems.extend(endpoint(config));
    problems.extend(credentials(config));
    problems.extend(proxy(config));
    problems.extend(cloudwatch(config));
    if !config.verify_certificate {
        problems.push(
            "verify_certificate: false is refused: name the authority to trust in ca_cert_file, or use no TLS with \
             endpoint_url = http://…"
                .to_owned(),
        );
    }
    let for_all = stream(config, &config.all_streams);
    problems.extend(for_all.iter().cloned());
    for name in config.overrides.keys() {
        problems.extend(stream_name(name).err());
        let of_stream = stream(config, &config.as_given_for(name));
        // What is wrong for all streams is said once, without the names of those that have settings of their own.
        let own = of_stream.into_iter().filter(|problem| !for_all.contains(problem));
        problems.extend(own.map(|problem| format!("stream.{name}.{problem}")));
    }
    problems
}

/// A stream's name, or its ARN.
pub(super) fn stream_name(name: &str) -> Result<(), String> {
    let short = (1..=128).contains(&name.len());
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if name.starts_with("arn:") || (short && legal) {
        return Ok(());
    }
    Err(format!("stream.{name}: 1 to 128 letters, digits, _, . and -, or an ARN, are allowed"))
}

pub(super) fn any_text(_: &str) -> Result<(), &'static str> {
    Ok(())
}

pub(super) fn url(text: &str) -> Result<(), &'static str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let empty = host.is_empty() || host.starts_with(['/', ':']);
    (!empty && !text.contains(char::is_whitespace)).then_some(()).ok_or("a URL that begins with http:// or https://")
}

pub(super) fn host(text: &str) -> Result<(), &'static str> {
    let legal = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    (legal && !text.is_empty()).then_some(()).ok_or("a host name without scheme and port")
}

pub(super) fn region(text: &str) -> Result<(), &'static str> {
    let legal = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (legal && !text.is_empty()).then_some(()).ok_or("a region's name such as eu-west-1")
}

/// As CloudWatch allows (its user guide, "Namespaces").
pub(super) fn namespace(text: &str) -> Result<(), &'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#: ".contains(&byte);
    let legal = !text.starts_with("AWS/") && !text.starts_with(':') && text.bytes().all(legal);
    (legal && (1..=255).contains(&text.trim().len()))
        .then_some(())
        .ok_or("1 to 255 letters, digits, blanks and . - _ / # : that do not begin with AWS/ or a colon")
}

fn endpoint(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if config.endpoint_url.is_some() && config.kinesis_endpoint.is_some() {
        problems.push("kinesis_endpoint: set it or endpoint_url, not both".to_owned());
    }
    if config.kinesis_port != 443 && config.kinesis_endpoint.is_none() {
        problems
            .push(format!("kinesis_port: {} needs kinesis_endpoint, or say it in endpoint_url", config.kinesis_port));
    }
    let switches = [("use_fips", config.use_fips), ("use_dual_stack", config.use_dual_stack)];
    for (key, _) in switches.iter().filter(|(_, on)| *on && config.endpoint().is_some()) {
        problems.push(format!("{key}: true chooses among the region's endpoints, but an endpoint is given"));
    }
    problems
}

fn credentials(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    match (&config.access_key_id, &config.secret_access_key) {
        (Some(_), None) => problems.push("access_key_id: needs secret_access_key".to_owned()),
        (None, Some(_)) => problems.push("secret_access_key: needs access_key_id".to_owned()),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if config.session_token.is_some() && config.access_key_id.is_none() {
        problems.push("session_token: needs access_key_id and secret_access_key".to_owned());
    }
    if let (Some(profile), Some(_)) = (&config.profile, &config.access_key_id) {
        problems.push(format!("profile: {profile:?} and access_key_id exclude each other"));
    }
    problems
}

fn proxy(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if config.proxy_url.is_some() && config.proxy_host.is_some() {
        problems.push("proxy_host: set it or proxy_url, not both".to_owned());
    }
    if config.proxy_port != 443 && config.proxy_host.is_none() {
        problems.push(format!("proxy_port: {} needs proxy_host, or say it in proxy_url", config.proxy_port));
    }
    let no_proxy = config.proxy_url.is_none() && config.proxy_host.is_none();
    if config.proxy_user_name.is_some() && no_proxy {
        problems.push("proxy_user_name: needs proxy_url or proxy_host".to_owned());
    }
    if config.proxy_password.is_some() && config.proxy_user_name.is_none() {
        problems.push("proxy_password: needs proxy_user_name".to_owned());
    }
    problems
}

fn cloudwatch(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if config.cloudwatch_endpoint_url.is_some() && config.cloudwatch_endpoint.is_some() {
        problems.push("cloudwatch_endpoint: set it or cloudwatch_endpoint_url, not both".to_owned());
    }
    match (&config.cloudwatch_access_key_id, &config.cloudwatch_secret_access_key) {
        (Some(_), None) => problems.push("cloudwatch_access_key_id: needs cloudwatch_secret_access_key".to_owned()),
        (None, Some(_)) => problems.push("cloudwatch_secret_access_key: needs cloudwatch_access_key_id".to_owned()),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if config.cloudwatch_port != 443 && config.cloudwatch_endpoint.is_none() {
        problems.push(format!(
            "cloudwatch_port: {} needs cloudwatch_endpoint, or say it in cloudwatch_endpoint_url",
            config.cloudwatch_port
        ));
    }
    let endpoint = config.cloudwatch_endpoint_url.is_some() || config.cloudwatch_endpoint.is_some();
    let switches = [("use_fips", config.use_fips), ("use_dual_stack", config.use_dual_stack)];
    for (key, _) in switches.iter().filter(|(_, on)| *on && endpoint) {
        problems
            .push(format!("{key}: true chooses among the region's endpoints, but an endpoint for CloudWatch is given"));
    }
    if config.cloudwatch_session_token.is_some() && config.cloudwatch_access_key_id.is_none() {
        problems.push(
            "cloudwatch_session_token: needs cloudwatch_access_key_id and cloudwatch_secret_access_key".to_owned(),
        );
    }
    problems
}

/// What is wrong with a stream's settings: their ranges, and room for its largest user record.
fn stream(config: &Config, stream: &StreamConfig) -> Vec<String> {
    let mut copy = stream.clone();
    let mut problems: Vec<String> = key::all().filter_map(|key| key.stream_problem(&mut copy)).collect();
    let needed = stream.max_user_record_size.saturating_add(MAX_PARTITION_KEY_BYTES);
    let share = stream.max_outstanding_bytes.unwrap_or(usize::MAX);
    let room = config.max_outstanding_bytes.min(share);
    if needed > room {
        problems.push(format!(
            "max_user_record_size: {} bytes and {MAX_PARTITION_KEY_BYTES} of partition key are more than the {room} bytes of \
             max_outstanding_bytes",
            stream.max_user_record_size
        ));
    }
    problems
}
