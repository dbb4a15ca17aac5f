//! What an error code means: pure tables, one reason a row. Codes are the service's strings (Kinesis API reference,
//! PutRecords and Common Errors); an unknown one is judged by its HTTP status, and retried until expiry when in doubt.

use super::outcome::{CallFailure, code};

/// What to do about a call that failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallVerdict {
    /// It may pass: back the stream off and try again.
    Retry,
    /// Something in the request is refused for good: find it by halving.
    Content,
    /// The stream refuses everything: fail all at once with the service's words.
    Stream,
}

/// What to do about one Kinesis record that failed in a call that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryVerdict {
    /// The shard is full: slow it down and try again.
    Throttled,
    /// It may pass: pause the shard and try again. It may have been stored.
    Retry,
    /// A setting of the stream refuses it: fail with the service's words.
    Fail,
}

/// Judges a call's failure.
pub(super) fn classify_call(failure: &CallFailure, succeeded_before: bool) -> CallVerdict {
    match failure.code.as_str() {
        // The content of some Kinesis record, or the size of them all.
        "ValidationException" | "InvalidArgumentException" | "SerializationException" => CallVerdict::Content,
        // Permissions and existence concern every record of the stream.
        "AccessDeniedException" | "ResourceNotFoundException" | "NotAuthorized" | "OptInRequired" => {
            CallVerdict::Stream
        }
        // Signing was already repeated by the transport; twice in a row it is the credentials themselves.
        "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => CallVerdict::Stream,
        // States of the stream's key: nothing can be written until someone mends it. KMSThrottlingException is not one.
        "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSAccessDeniedException"
        | "KMSNotFoundException"
        | "KMSOptInRequired" => CallVerdict::Stream,
        // Credentials that cannot be loaded now may come back, if there were any.
        code::CREDENTIALS if !succeeded_before => CallVerdict::Stream,
        _ => match failure.status {
            Some(413) => CallVerdict::Content,
            // Throttling of calls, as some services and proxies say it, or a slow client.
            Some(408 | 429) => CallVerdict::Retry,
            _ => CallVerdict::Retry,
        },
    }
}

/// Judges an entry's error code.
pub(super) fn classify_entry(code: &str) -> EntryVerdict {
    match code {
        "ProvisionedThroughputExceededException" => EntryVerdict::Throttled,
        "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSAccessDeniedException"
        | "KMSNotFoundException"
        | "KMSOptInRequired"
        | "AccessDeniedException"
        | "ValidationException"
        | "InvalidArgumentException" => EntryVerdict::Fail,
        // InternalFailure and whatever comes: the KPL retries all.
        _ => EntryVerdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::record::Stored;

    fn call(code: &str, status: Option<u16>, succeeded_before: bool) -> CallVerdict {
        let failure = CallFailure { code: ErrorCode::new(code), message: "".into(), status, stored: Stored::No };
        classify_call(&failure, succeeded_before)
    }

    #[test]
    fn calls_are_judged_by_code_and_status() {
        let table = [
            ("InternalFailure", Some(500), CallVerdict::Retry),
            ("ServiceUnavailable", Some(503), CallVerdict::Retry),
            ("ProvisionedThroughputExceededException", Some(400), CallVerdict::Retry),
            ("LimitExceededException", Some(400), CallVerdict::Retry),
            ("KMSThrottlingException", Some(400), CallVerdict::Retry),
            ("SomethingNew", Some(400), CallVerdict::Retry),
            (code::TIMEOUT, None, CallVerdict::Retry),
            (code::CONNECT, None, CallVerdict::Retry),
            ("ValidationException", Some(400), CallVerdict::Content),
            ("RequestEntityTooLarge", Some(413), CallVerdict::Content),
            ("AccessDeniedException", Some(400), CallVerdict::Stream),
            ("ResourceNotFoundException", Some(400), CallVerdict::Stream),
            ("KMSDisabledException", Some(400), CallVerdict::Stream),
            ("ExpiredTokenException", Some(400), CallVerdict::Stream),
        ];
        for (code, status, verdict) in table {
            assert_eq!(call(code, status, false), verdict, "{code}");
        }
    }

    #[test]
    fn lost_credentials_are_permanent_only_before_the_first_success() {
        assert_eq!(call(code::CREDENTIALS, None, false), CallVerdict::Stream);
        assert_eq!(call(code::CREDENTIALS, None, true), CallVerdict::Retry);
    }

    #[test]
    fn entries_are_judged_by_code() {
        assert_eq!(classify_entry("ProvisionedThroughputExceededException"), EntryVerdict::Throttled);
        assert_eq!(classify_entry("InternalFailure"), EntryVerdict::Retry);
        assert_eq!(classify_entry("KMSDisabledException"), EntryVerdict::Fail);
    }
}
