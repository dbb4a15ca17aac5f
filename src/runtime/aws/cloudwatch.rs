//! PutMetricData on the AWS SDK's client. A call is made once; the caller decides about repetitions.
//!
//! The SDK writes CBOR (`smithy-rpc-v2-cbor`) and compresses what is worth it. Endpoints that are not AWS may know only JSON: one
//! that says 404 to the first is asked in JSON from then on.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_cloudwatch::operation::put_metric_data::PutMetricDataError;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, StatisticSet};
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{IdentityCache, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_kinesis::error::SdkError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use serde_json::{Value, json};

use super::body::{Dispatch, Progress};
use super::clients::{sdk_config, timeouts};
use super::failure::call_failure;
use super::http;
use super::settings::TransportSettings;
use crate::core::outcome::code;
use crate::error::{Error, ErrorCode};
use crate::record::Stored;
use crate::runtime::upload::data::{Datum, Values};
use crate::runtime::upload::schedule::Fate;

/// CloudWatch's name in `X-Amz-Target`.
const TARGET: &str = "GraniteServiceVersion20100801.PutMetricData";

/// Where metrics go.
#[derive(Debug)]
pub(in crate::runtime) struct CloudWatch {
    settings: TransportSettings,
    namespace: String,
    http: Option<SharedHttpClient>,
    /// Made by the first call, and anew after credentials were refused.
    client: Option<Client>,
    /// The endpoint knows no CBOR.
    json: bool,
}

/// Why data were not certainly stored.
#[derive(Debug)]
pub(in crate::runtime) struct Failure {
    pub(in crate::runtime) fate: Fate,
    pub(in crate::runtime) code: ErrorCode,
    pub(in crate::runtime) message: String,
}

impl CloudWatch {
    pub(in crate::runtime) fn new(settings: TransportSettings, namespace: String) -> CloudWatch {
        CloudWatch { settings, namespace, http: None, client: None, json: false }
    }

    /// Stores data under the time, since 1970, at which they were taken.
    pub(in crate::runtime) async fn put(&mut self, data: &[Datum], time: Duration) -> Result<(), Failure> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.connect().await.map_err(not_set_up)?,
        };
        let outcome = self.put_once(&client, data, time).await;
        let outcome = match outcome {
            Err((_, Some(404 | 415))) if !self.json => {
                self.json = true;
                let outcome = self.put_once(&client, data, time).await;
                // An endpoint that is out of order may know CBOR when it is in order again.
                self.json = !matches!(outcome, Err((_, Some(404 | 415) | None)));
                outcome
            }
            outcome => outcome,
        };
        outcome.map_err(|(failure, _)| {
            if failure.fate == Fate::Denied {
                // Credentials may have been renewed where they come from.
                self.client = None;
            }
            failure
        })
    }

    async fn connect(&mut self) -> Result<Client, Error> {
        let http = match &self.http {
            Some(http) => http.clone(),
            None => self.http.insert(http::client(&self.settings)?).clone(),
        };
        let config = Builder::from(&sdk_config(&self.settings, &http).await)
            .identity_cache(IdentityCache::lazy().build())
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts(&self.settings))
            .build();
        Ok(self.client.insert(Client::from_conf(config)).clone())
    }

    /// The failure comes with the HTTP status of the answer, if there was one.
    async fn put_once(&self, client: &Client, data: &[Datum], time: Duration) -> Result<(), (Failure, Option<u16>)> {
        let (dispatch, progress) = Dispatch::new(None);
        let call = client.put_metric_data().namespace(&self.namespace);
        let sent = if self.json {
            let body = AsJson(json_body(&self.namespace, data, time).into());
            call.customize().interceptor(body).interceptor(dispatch).send().await
        } else {
            let data = data.iter().map(|datum| sdk_datum(datum, time)).collect();
            call.set_metric_data(Some(data)).customize().interceptor(dispatch).send().await
        };
        match sent {
            Ok(_) => Ok(()),
            Err(error) => failure(&error, &progress),
        }
    }
}

fn sdk_datum(datum: &Datum, time: Duration) -> MetricDatum {
    let dimensions =
        datum.dimensions.iter().map(|(name, value)| Dimension::builder().name(&**name).value(&**value).build());
    let sdk = MetricDatum::builder()
        .metric_name(datum.metric.name())
        .set_dimensions(Some(dimensions.collect()))
        .timestamp(DateTime::from_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
        .unit(StandardUnit::from(datum.metric.unit().name()));
    match &datum.values {
        Values::Set(set) => {
            let values = StatisticSet::builder().sample_count(set.count as f64).sum(set.sum);
            sdk.statistic_values(values.minimum(set.min).maximum(set.max).build()).build()
        }
        Values::Counted(values) => {
            let (values, counts) = values.iter().copied().unzip();
            sdk.set_values(Some(values)).set_counts(Some(counts)).build()
        }
    }
}

/// The same in JSON.
pub(in crate::runtime) fn json_body(namespace: &str, data: &[Datum], time: Duration) -> Vec<u8> {
    let seconds = time.as_millis() as f64 / 1e3;
    let data = data.iter().map(|datum| {
        let dimensions = datum.dimensions.iter().map(|(name, value)| json!({"Name": &**name, "Value": &**value}));
        let mut json = json!({
            "MetricName": datum.metric.name(),
            "Dimensions": dimensions.collect::<Value>(),
            "Timestamp": seconds,
            "Unit": datum.metric.unit().name(),
        });
        match &datum.values {
            Values::Set(set) => {
                json["StatisticValues"] =
                    json!({"SampleCount": set.count as f64, "Sum": set.sum, "Minimum": set.min, "Maximum": set.max});
            }
            Values::Counted(values) => {
                json["Values"] = values.iter().map(|(value, _)| *value).collect();
                json["Counts"] = values.iter().map(|(_, count)| *count).collect();
            }
        }
        json
    });
    json!({"Namespace": namespace, "MetricData": data.collect::<Value>()}).to_string().into_bytes()
}

/// Turns the SDK's request into one of `aws-json-1.0` with this body.
#[derive(Debug)]
struct AsJson(Bytes);

#[dyn_dispatch_hint]
impl Intercept for AsJson {
    fn name(&self) -> &'static str {
        "kinesis_producer::AsJson"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let root = request.uri().split_once("/service/").map_or(request.uri(), |(root, _)| root);
        let root = format!("{root}/");
        request.set_uri(root.as_str())?;
        let headers = request.headers_mut();
        for name in ["smithy-protocol", "accept", "content-encoding", "x-amzn-query-mode"] {
            headers.remove(name);
        }
        headers.insert("content-type", "application/x-amz-json-1.0");
        headers.insert("x-amz-target", TARGET);
        headers.insert("content-length", self.0.len().to_string());
        *request.body_mut() = SdkBody::from(self.0.clone());
        Ok(())
    }
}

fn not_set_up(error: Error) -> Failure {
    Failure { fate: Fate::NotStored, code: ErrorCode::new(code::TRANSPORT), message: error.to_string() }
}

/// What a failed call means; `Ok` if the answer says, in whatever words, that the data are stored.
fn failure(
    error: &SdkError<PutMetricDataError, HttpResponse>,
    progress: &Progress,
) -> Result<(), (Failure, Option<u16>)> {
    let told = call_failure(error, progress);
    if told.status.is_some_and(|status| (200..300).contains(&status)) {
        return Ok(());
    }
    let body = error.raw_response().and_then(|response| response.body().bytes());
    let (code, message) = match body.and_then(json_error) {
        Some((code, message)) => (ErrorCode::new(&code), message),
        None => (told.code, told.message.to_string()),
    };
    let fate = if is_denial(code.as_str()) {
        Fate::Denied
    } else if told.status == Some(413) || (told.status == Some(400) && is_refusal(code.as_str())) {
        Fate::Refused
    } else if told.stored != Stored::No && told.status != Some(503) {
        // 503 comes before anything is stored; of other failures inside the service nobody knows.
        Fate::Unknown
    } else {
        Fate::NotStored
    };
    Err((Failure { fate, code, message }, told.status))
}

/// Code and message of an error in JSON.
fn json_error(body: &[u8]) -> Option<(String, String)> {
    let error: Value = serde_json::from_slice(body).ok()?;
    let code = error.get("__type")?.as_str()?;
    let message = error.get("message").or_else(|| error.get("Message")).and_then(Value::as_str).unwrap_or_default();
    Some((code.rsplit('#').next().unwrap_or(code).to_owned(), message.to_owned()))
}

/// Whether the code is about the data (CloudWatch API reference, PutMetricData and common errors).
fn is_refusal(code: &str) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "InvalidParameter",
        "MissingParameter",
        "MissingRequiredParameter",
        "Validation",
        "InvalidFormat",
        "Serialization",
        "RequestEntityTooLarge",
    ];
    BEGINNINGS.iter().any(|beginning| code.starts_with(beginning))
}

/// Whether the code is about who we are, which somebody may put right.
fn is_denial(code: &str) -> bool {
    const BEGINNINGS: [&str; 9] = [
        "AccessDenied",
        "NotAuthorized",
        "UnauthorizedOperation",
        "UnrecognizedClient",
        "InvalidClientTokenId",
        "ExpiredToken",
        "MissingAuthenticationToken",
        "OptInRequired",
        code::CREDENTIALS,
    ];
    BEGINNINGS.iter().any(|beginning| code.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_about_the_data_and_about_us_are_told_apart() {
        for code in
            ["InvalidParameterValue", "InvalidParameterCombinationException", "MissingParameter", "ValidationError"]
        {
            assert!(is_refusal(code) && !is_denial(code), "{code}");
        }
        for code in
            ["AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "ExpiredToken", "CredentialsError"]
        {
            assert!(is_denial(code) && !is_refusal(code), "{code}");
        }
        for code in ["Throttling", "InternalServiceError", "SignatureDoesNotMatch", "RequestExpired"] {
            assert!(!is_denial(code) && !is_refusal(code), "{code}");
        }
    }

    #[test]
    fn an_error_in_json_is_read_with_and_without_its_namespace() {
        let read = |body: &str| json_error(body.as_bytes());
        let expected = Some(("AccessDenied".to_owned(), "no".to_owned()));
        assert_eq!(read(r#"{"__type":"com.amazonaws.x#AccessDenied","message":"no"}"#), expected);
        assert_eq!(read(r#"{"__type":"AccessDenied","Message":"no"}"#), expected);
        assert_eq!(read("<html>"), None);
    }
}
