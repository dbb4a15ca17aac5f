//! Behaviour of settings: every row of the table by loops, the rest by example.

use std::time::Duration;

use proptest::prelude::*;

use super::value::{Kind, NO_LIMIT, Value};
use super::*;

fn problem_of(config: &Config) -> String {
    config.check().expect_err("the configuration is wrong").to_string()
}

fn set(key: &str, value: &str) -> Result<Config, Error> {
    let mut config = Config::new();
    config.set(key, value).map(|()| config)
}

#[test]
fn defaults_have_no_problems() {
    Config::new().check().unwrap();
}

#[test]
fn every_default_is_read_back_from_how_it_is_shown_by_both_names() {
    let mut default = Config::new();
    for key in key::all() {
        let Some(value) = key.value(&mut default) else { continue };
        for name in [Some(key.name), key.kpl].into_iter().flatten() {
            let mut config = set(name, &key.kind.show(&value)).unwrap();
            assert_eq!(key.value(&mut config), Some(value.clone()), "{name}");
        }
    }
}

#[test]
fn names_are_unique_and_the_kpls_are_ours_in_upper_camel_case() {
    let mut names = std::collections::HashSet::new();
    for key in key::all() {
        assert!(names.insert(key.name), "{}", key.name);
        let camel: String = key.name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        assert!(key.kpl.is_none_or(|kpl| kpl == camel), "{}", key.name);
    }
}

#[test]
fn every_edge_of_every_range_is_accepted_and_one_beyond_is_refused() {
    for key in key::all() {
        let (min, max) = key.kind.bounds();
        if !matches!(key.kind, Kind::Time(..) | Kind::Size(..) | Kind::Count(..)) {
            continue;
        }
        let shown = |number| key.kind.show(&Value::Number(number));
        for edge in [Some(min), max].into_iter().flatten() {
            let mut config = set(key.name, &shown(edge)).unwrap();
            assert_eq!(key.value(&mut config), Some(Value::Number(edge)), "{}", key.name);
        }
        if let Some(below) = min.checked_sub(1) {
            let error = set(key.name, &shown(below)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert_eq!(error.to_string(), format!("{}: {} is below {}", key.name, shown(below), shown(min)));
        }
        if let Some(max) = max {
            let error = set(key.name, &shown(max + 1)).unwrap_err();
            assert_eq!(error.to_string(), format!("{}: {} is above {}", key.name, shown(max + 1), shown(max)));
        }
    }
}

#[test]
fn every_word_of_every_choice_is_accepted_and_kept() {
    for key in key::all() {
        let Kind::OneOf(words) = key.kind else { continue };
        for word in words {
            let mut config = set(key.name, word).unwrap();
            assert_eq!(key.value(&mut config), Some(Value::Text((*word).to_owned())), "{}", key.name);
        }
        assert!(set(key.name, "sideways").unwrap_err().to_string().ends_with(&words.join(", ")));
    }
}

#[test]
fn what_a_stream_can_have_is_set_for_it_alone() {
    for key in key::all() {
        let Some(field) = key.of_stream() else { continue };
        let other = match key.kind {
            Kind::Flag => {
                let Some(Value::Flag(default)) = key.value(&mut Config::new()) else { panic!("{}", key.name) };
                (!default).to_string()
            }
            Kind::OneOf(words) => words[1].to_owned(),
            Kind::Time(..) | Kind::Size(..) | Kind::Count(..) => key.kind.show(&Value::Number(key.kind.bounds().0)),
            Kind::Text(_) | Kind::Secret => panic!("{}: no stream has texts", key.name),
        };
        let config = set(&format!("stream.a.b.{}", key.name), &other).unwrap();
        assert_eq!(key.kind.show(&field(&mut config.for_stream("a.b")).value()), other, "{}", key.name);
        assert_eq!(config.for_stream("a"), StreamConfig::default(), "{}", key.name);
    }
}

#[test]
fn numbers_without_a_range_saturate() {
    for text in ["9223372036854775808", "99999999999999999999999999999999999999999999", "9999999999999999999 h"] {
        let config = set("record_ttl", text).unwrap();
        assert_eq!(config.for_stream("s").record_ttl, Duration::from_millis(NO_LIMIT), "{text}");
    }
    let config = set("AggregationMaxCount", "340282366920938463463374607431768211456").unwrap();
    assert_eq!(config.for_stream("s").aggregation_max_count, NO_LIMIT);
    Config::new().record_ttl(Duration::MAX).rate_limit(u64::MAX).check().unwrap();
}

#[test]
fn times_and_sizes_take_units() {
    for (text, nanos) in [
        ("1500", 1_500_000_000_u64),
        ("2 s", 2_000_000_000),
        ("2s", 2_000_000_000),
        ("3m", 180_000_000_000),
        ("1h", 3_600_000_000_000),
        ("250000us", 250_000_000),
        ("100000001ns", 100_000_001),
    ] {
        let ttl = set("record_ttl", text).unwrap().for_stream("s").record_ttl;
        assert_eq!(ttl, Duration::from_nanos(nanos), "{text}");
    }
    for (text, bytes) in [("2000000", 2_000_000), ("4 MiB", 4 << 20), ("4096KiB", 4 << 20), ("1 GiB", 1 << 30)] {
        assert_eq!(set("max_outstanding_bytes", text).unwrap().max_outstanding_bytes, bytes, "{text}");
    }
    for (key, text) in [
        ("record_ttl", "1.5 s"),
        ("record_ttl", "-1"),
        ("record_ttl", "5 MiB"),
        ("record_ttl", ""),
        ("max_outstanding_bytes", "5 MB"),
        ("collection_max_count", "5 s"),
        ("aggregation_enabled", "yes"),
    ] {
        let message = set(key, text).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{key}: {text:?} is ")), "{message}");
    }
}

#[test]
fn an_unknown_key_suggests_the_nearest_in_its_own_style() {
    for (wrong, message) in [
        ("record_tll", "record_tll: unknown setting; did you mean record_ttl?"),
        ("RecordTTL", "RecordTTL: unknown setting; did you mean RecordTtl?"),
        ("stream.orders.recordttl", "recordttl: unknown setting; did you mean record_ttl?"),
        ("endpoint", "endpoint: unknown setting"),
        ("", ": unknown setting"),
    ] {
        assert!(set(wrong, "1").unwrap_err().to_string().starts_with(message), "{wrong}");
    }
}

#[test]
fn a_stream_takes_what_is_set_for_all_and_its_own_whatever_is_said_first() {
    let config = Config::new()
        .stream("orders", |stream| stream.ordering(Ordering::Shard).max_outstanding_records(10))
        .record_ttl(Duration::from_secs(5));
    let orders = config.for_stream("arn:aws:kinesis:eu-west-1:123456789012:stream/orders");
    assert_eq!(orders.ordering, Ordering::Shard);
    assert_eq!(orders.record_ttl, Duration::from_secs(5));
    assert_eq!(orders.max_outstanding_records, Some(10));
    assert_eq!(config.max_outstanding_records, 1_000_000);
}

#[test]
fn a_producers_setting_is_no_streams() {
    let error = set("stream.orders.region", "eu-west-1").unwrap_err();
    assert_eq!(error.to_string(), "stream.orders.region: cannot be set for one stream");
}

#[test]
fn sizes_beyond_the_services_limits_act_as_the_limits() {
    let config = Config::new().aggregation_max_size(2 << 20).collection_max_size(1 << 30);
    config.check().unwrap();
    assert_eq!(config.for_stream("s").aggregation_max_size, MAX_AGGREGATE_BYTES);
    assert_eq!(config.for_stream("s").collection_max_size, MAX_REQUEST_BYTES);
}

#[test]
fn check_names_everything_that_is_wrong_at_once() {
    let config = Config::new()
        .record_ttl(Duration::from_millis(50))
        .max_connections(257)
        .region("Ireland")
        .stream("orders", |stream| stream.aggregation_max_size(11 << 20))
        .stream("no spaces", |stream| stream);
    let message = problem_of(&config);
    assert_eq!(
        message,
        "5 problems:\n\
         max_connections: 257 is above 256\n\
         region: \"Ireland\": expected a region's name such as eu-west-1\n\
         record_ttl: 50 ms is below 100 ms\n\
         stream.no spaces: 1 to 128 letters, digits, _, . and -, or an ARN, are allowed\n\
         stream.orders.aggregation_max_size: 11 MiB is above 10 MiB"
    );
}

#[test]
fn settings_that_exclude_or_need_each_other_are_refused() {
    let static_credentials = "access_key_id = AKIA\nsecret_access_key = s3cret\n";
    for (text, problem) in [
        ("access_key_id = AKIA", "access_key_id: needs secret_access_key"),
        ("secret_access_key = s3cret", "secret_access_key: needs access_key_id"),
        ("session_token = t0ken", "session_token: needs access_key_id and secret_access_key"),
        (&format!("{static_credentials}profile = dev"), "profile: \"dev\" and access_key_id exclude each other"),
        (
            "endpoint_url = http://[::1]:4567\nkinesis_endpoint = localhost",
            "kinesis_endpoint: set it or endpoint_url, not both",
        ),
        ("kinesis_port = 4567", "kinesis_port: 4567 needs kinesis_endpoint, or say it in endpoint_url"),
        (
            "endpoint_url = http://localhost\nuse_fips = true",
            "use_fips: true chooses among the region's endpoints, but an endpoint is given",
        ),
        ("proxy_url = http://p\nproxy_host = p", "proxy_host: set it or proxy_url, not both"),
        ("proxy_port = 3128", "proxy_port: 3128 needs proxy_host, or say it in proxy_url"),
        ("proxy_user_name = me", "proxy_user_name: needs proxy_url or proxy_host"),
        ("proxy_host = p\nproxy_password = s3cret", "proxy_password: needs proxy_user_name"),
        (
            "cloudwatch_port = 8443",
            "cloudwatch_port: 8443 needs cloudwatch_endpoint, or say it in cloudwatch_endpoint_url",
        ),
        (
            "cloudwatch_endpoint = monitoring.test\nuse_dual_stack = true",
            "use_dual_stack: true chooses among the region's endpoints, but an endpoint for CloudWatch is given",
        ),
        ("cloudwatch_access_key_id = AKIA", "cloudwatch_access_key_id: needs cloudwatch_secret_access_key"),
        (
            "verify_certificate = false",
            "verify_certificate: false is refused: name the authority to trust in ca_cert_file, or use no TLS with \
             endpoint_url = http://…",
        ),
        (
            "max_outstanding_bytes = 1 MiB",
            "max_user_record_size: 1048576 bytes and 1024 of partition key are more than the 1048576 bytes of \
             max_outstanding_bytes",
        ),
        (
            "stream.big.max_user_record_size = 10 MiB\nstream.big.max_outstanding_bytes = 5 MiB",
            "stream.big.max_user_record_size: 10485760 bytes and 1024 of partition key are more than the 5242880 bytes of \
             max_outstanding_bytes",
        ),
    ] {
        let error = Config::from_text(text).expect_err(text);
        assert_eq!(error.to_string(), problem);
    }
}

#[test]
fn texts_that_cannot_be_meant_are_refused() {
    for (key, value, expected) in [
        ("endpoint_url", "localhost:4567", "expected a URL that begins with http:// or https://"),
        ("endpoint_url", "https://", "expected a URL that begins with http:// or https://"),
        ("kinesis_endpoint", "https://localhost", "expected a host name without scheme and port"),
        (
            "MetricsNamespace",
            "AWS/Kinesis",
            "expected 1 to 255 letters, digits, blanks and . - _ / # : that do not begin with AWS/ or a colon",
        ),
    ] {
        let message = set(key, value).unwrap_err().to_string();
        assert!(message.contains(value) && message.ends_with(expected), "{message}");
    }
    let empty_namespace = set("metrics_namespace", "").unwrap();
    assert!(problem_of(&empty_namespace).starts_with("metrics_namespace: "));
}

#[test]
fn settings_without_effect_are_remembered_by_name() {
    let text = "LogLevel = error\nThreadingModel = POOLED\nRecordTtl = 1 s\nNativeExecutable = /bin/kpl";
    let config = Config::from_text(text).unwrap();
    assert_eq!(config.ignored_keys(), ["log_level", "native_executable", "threading_model"]);
    assert!(Config::new().ignored_keys().is_empty());
    assert!(set("LogLevel", "loud").is_err());
    // A build that uploads no metrics says so when it is told how to.
    let uploads = set("MetricsLevel", "none").unwrap();
    assert_eq!(uploads.ignored_keys().is_empty(), cfg!(feature = "cloudwatch"));
}

#[test]
fn secrets_appear_neither_in_debug_output_nor_in_messages() {
    let config = Config::new()
        .credentials(Credentials::Static {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: "s3cret".to_owned(),
            session_token: Some("s3cret".to_owned()),
        })
        .proxy_url("http://me:s3cret@proxy:3128");
    let shown = format!("{config:?} {:?}", config.credential_source());
    assert!(shown.contains("AKIA") && shown.contains("proxy:3128") && !shown.contains("s3cret"), "{shown}");
    let message = problem_of(&config.proxy_url("socks://me:s3cret@proxy"));
    assert!(message.starts_with("proxy_url: ") && !message.contains("s3cret"), "{message}");
}

#[test]
fn the_kpls_way_to_name_endpoint_and_proxy_gives_urls() {
    let text =
        "KinesisEndpoint = kinesis.local\nKinesisPort = 4567\nProxyHost = proxy\nProxyUserName = me\nProxyPassword = x";
    let config = Config::from_text(text).unwrap();
    assert_eq!(config.endpoint().as_deref(), Some("https://kinesis.local:4567"));
    let proxy = config.proxy().unwrap();
    assert_eq!((proxy.url.as_str(), proxy.user_name.as_deref()), ("http://proxy:443", Some("me")));
    assert_eq!(proxy.password.as_deref(), Some("x"));
    assert!(Config::new().endpoint().is_none() && Config::new().proxy().is_none());
}

#[test]
fn credentials_are_the_ones_set_last() {
    let fixed = Credentials::Static {
        access_key_id: "AKIA".to_owned(),
        secret_access_key: "s3cret".to_owned(),
        session_token: None,
    };
    let profile = Credentials::Profile("dev".to_owned());
    let config = Config::new();
    assert_eq!(config.credential_source(), Credentials::DefaultChain);
    let config = config.credentials(fixed.clone());
    assert_eq!(config.credential_source(), fixed);
    let config = config.credentials(profile.clone());
    config.check().unwrap();
    assert_eq!(config.credential_source(), profile);
}

proptest! {
    #[test]
    fn any_time_in_range_is_read_back_from_how_it_is_shown(nanos in 100_000_000_u64..) {
        let value = Value::Number(nanos.into());
        prop_assert_eq!(Kind::Time(100, NO_LIMIT).parse(&Kind::Time(100, NO_LIMIT).show(&value)), Ok(value));
    }

    #[test]
    fn any_text_is_settings_or_an_error(text in "\\PC{0,40}", key in "[a-zA-Z_.]{0,30}") {
        let _ = Config::from_text(&text);
        let _ = Config::new().load_properties(&text);
        let _ = Config::new().set(&key, &text);
    }
}
