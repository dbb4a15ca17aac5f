//! The SDK's errors in the core's words: a code, the service's message or the chain of causes, the HTTP status, and whether
//! anything can have been stored.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http::endpoint::ResolveEndpointError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::body::Progress;
use crate::core::outcome::{CallFailure, code};
use crate::error::ErrorCode;
use crate::record::Stored;

/// A stream that the SDK finds no endpoint for, such as a malformed ARN: what the service would call it.
const NO_SUCH_ENDPOINT: &str = "ValidationException";

/// Describes the failure of a call that got as far as `progress`.
pub(super) fn call_failure<E>(error: &SdkError<E, HttpResponse>, progress: &Progress) -> CallFailure
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let stored = match status {
        Some(300..=499) => Stored::No,
        _ if progress.complete() => Stored::Possibly,
        _ => Stored::No,
    };
    let (code, message) = match error {
        SdkError::ServiceError(answer) => match answer.err().code() {
            Some(code) => (code, answer.err().message().unwrap_or_default().to_owned()),
            None => (code::TRANSPORT, unreadable(error, status)),
        },
        SdkError::ResponseError(_) => (code::TRANSPORT, unreadable(error, status)),
        _ if caused_by::<CredentialsError>(error) => (code::CREDENTIALS, causes(error)),
        SdkError::TimeoutError(_) => (code::TIMEOUT, at_target(progress, error)),
        SdkError::DispatchFailure(_) if progress.target().is_some() && !progress.started() => {
            (code::CONNECT, at_target(progress, error))
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (code::TIMEOUT, at_target(progress, error)),
        SdkError::DispatchFailure(_) if progress.target().is_some() => (code::TRANSPORT, at_target(progress, error)),
        _ if caused_by::<ResolveEndpointError>(error) => (NO_SUCH_ENDPOINT, causes(error)),
        _ => (code::TRANSPORT, causes(error)),
    };
    CallFailure { code: ErrorCode::new(code), message: message.into(), status, stored }
}

/// The failure of an answer that came with success but makes no sense.
pub(super) fn senseless_answer(message: String) -> CallFailure {
    CallFailure {
        code: ErrorCode::new(code::TRANSPORT),
        message: Arc::from(message),
        status: Some(200),
        stored: Stored::Possibly,
    }
}

/// The error and its causes in one line, each once.
pub(super) fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            let _infallible = write!(text, ": {words}");
        }
        next = cause.source();
    }
    text
}

fn at_target(progress: &Progress, error: &(dyn StdError + 'static)) -> String {
    match progress.target() {
        Some(target) => format!("{target}: {}", causes(error)),
        None => causes(error),
    }
}

fn unreadable<E>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> String
where
    E: StdError + 'static,
{
    match status {
        Some(status) => format!("unreadable answer with HTTP status {status}: {}", causes(error)),
        None => format!("unreadable answer: {}", causes(error)),
    }
}

fn caused_by<C: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    error.is::<C>() || error.source().is_some_and(caused_by::<C>)
}
