//! Credentials from a C function of the caller's.

use std::ffi::{c_char, c_void};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::callback::UserData;
use crate::error::{Fail, KP_ERR_INVALID_ARGUMENT, kp_error_t};
use crate::guard::{attempt, text};

/// Where a credentials callback puts what it found. See kp_credentials_set.
#[derive(Default)]
pub struct kp_credentials_t {
    found: Option<Credentials>,
}

/// Finds credentials: calls kp_credentials_set and returns 0, or returns another number if there are none now.
pub type kp_credentials_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, credentials: *mut kp_credentials_t) -> i32>;

/// To be called by a credentials callback, with what it was given. session_token may be NULL; expires_at_ms is a time in
/// milliseconds since 1970-01-01 00:00 UTC, 0 for credentials that do not expire.
///
/// Errors: KP_ERR_INVALID_ARGUMENT. Threads: the callback's. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kp_credentials_set(
    credentials: *mut kp_credentials_t,
    access_key_id: *const c_char,
    secret_access_key: *const c_char,
    session_token: *const c_char,
    expires_at_ms: u64,
) -> *mut kp_error_t {
    attempt(|| {
        // SAFETY: the library lends it to the callback.
        let credentials = unsafe { credentials.as_mut() }.ok_or_else(|| Fail::null("credentials"))?;
        // SAFETY: the header asks for NUL-terminated strings.
        let (id, secret) =
            unsafe { (text(access_key_id, "access_key_id")?, text(secret_access_key, "secret_access_key")?) };
        let token = if session_token.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { text(session_token, "session_token")? }.to_owned())
        };
        let expires = match expires_at_ms {
            0 => None,
            ms => Some(SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).ok_or_else(|| {
                Fail::new(
                    KP_ERR_INVALID_ARGUMENT,
                    format!("expires_at_ms: {ms} is beyond what this system's time can tell"),
                )
            })?),
        };
        credentials.found = Some(Credentials::new(id, secret, token, expires, "kp_credentials_fn"));
        Ok(())
    })
}

/// A credentials callback as the AWS SDK wants it.
#[derive(Clone)]
pub(crate) struct CallbackProvider {
    callback: unsafe extern "C" fn(*mut c_void, *mut kp_credentials_t) -> i32,
    user_data: Arc<UserData>,
}

impl CallbackProvider {
    pub(crate) fn new(
        callback: unsafe extern "C" fn(*mut c_void, *mut kp_credentials_t) -> i32,
        user_data: UserData,
    ) -> CallbackProvider {
        CallbackProvider { callback, user_data: Arc::new(user_data) }
    }

    fn call(&self) -> Result<Credentials, CredentialsError> {
        let mut credentials = kp_credentials_t::default();
        // SAFETY: the caller's function, with the caller's pointer.
        let status = unsafe { (self.callback)(self.user_data.pointer(), &raw mut credentials) };
        match credentials.found {
            Some(found) if status == 0 => Ok(found),
            _ if status != 0 => {
                Err(CredentialsError::not_loaded(format!("the credentials callback returned {status}")))
            }
            _ => Err(CredentialsError::not_loaded("the credentials callback returned 0 without kp_credentials_set")),
        }
    }
}

impl fmt::Debug for CallbackProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackProvider")
    }
}

impl ProvideCredentials for CallbackProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.call())
    }
}
