//! The upload of metrics to CloudWatch: a task of its own that takes what was counted once in `metrics_upload_delay` and when the
//! producer is closed, and sends it. It is never in the way of user records: it takes a stream's lock like any other reader, and
//! whatever CloudWatch does costs a batch of metrics and a line in the log.
//!
//! `data` makes calls of readings, `schedule` decides what to do next, `aws::cloudwatch` calls.

pub(super) mod data;
pub(super) mod schedule;

use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::watch;
use tracing::warn;

use self::data::{Selection, calls};
use self::schedule::{Consequence, Schedule, Step};
use super::ProducerShared;
use super::aws::cloudwatch::{CloudWatch, Failure};
use super::aws::{Credentials, TransportSettings};
use super::clock::Clock;
use super::log::Limit;
use crate::config::{Config, MetricsLevel};
use crate::time::Time;

/// What a close without time leaves to the last upload.
const LEAST_AT_CLOSE: Duration = Duration::from_secs(2);
/// A service that cannot be reached holds up no close for longer: programs are killed for that.
const MOST_AT_CLOSE: Duration = Duration::from_secs(5);

/// What is uploaded, and where to.
#[derive(Debug)]
pub(crate) struct UploadSettings {
    namespace: String,
    delay: Duration,
    selection: Selection,
    service: TransportSettings,
}

impl UploadSettings {
    /// Settings for a producer whose way to Kinesis is `kinesis`, or another than AWS's; `None` if nothing is to be uploaded.
    pub(crate) fn new(
        config: &Config,
        kinesis: Option<&TransportSettings>,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Option<UploadSettings> {
        let host = config.cloudwatch_endpoint.as_ref();
        let from_kpl = host.map(|host| format!("https://{host}:{}", config.cloudwatch_port));
        let endpoint_url = config.cloudwatch_endpoint_url.clone().or(from_kpl);
        let is_aws = kinesis.is_some_and(|kinesis| {
            !kinesis.endpoint_url.as_ref().is_some_and(|url| url.to_ascii_lowercase().starts_with("http://"))
        });
        if config.metrics_level == MetricsLevel::None || (endpoint_url.is_none() && !is_aws) {
            return None;
        }
        let common = kinesis.cloned().unwrap_or_else(|| TransportSettings::from(config));
        let fixed = || {
            Some(Credentials::Static {
                access_key_id: config.cloudwatch_access_key_id.clone()?,
                secret_access_key: config.cloudwatch_secret_access_key.clone()?,
                session_token: config.cloudwatch_session_token.clone(),
            })
        };
        let service = TransportSettings {
            region: config.cloudwatch_region.clone().or(common.region),
            endpoint_url,
            credentials: fixed().or(credentials.map(Credentials::Provider)).unwrap_or(common.credentials),
            max_connections: 1,
            ..common
        };
        Some(UploadSettings {
            namespace: config.metrics_namespace.clone(),
            delay: config.metrics_upload_delay,
            selection: Selection::new(config),
            service,
        })
    }
}

/// The task, seen from the producer.
#[derive(Debug)]
pub(crate) struct Uploads {
    close_by: watch::Sender<Option<Time>>,
}

impl Uploads {
    /// Starts the task. It ends when the producer does.
    pub(super) fn start(producer: &Arc<ProducerShared>, settings: UploadSettings) -> Uploads {
        let (close_by, closing) = watch::channel(None);
        let clock = producer.clock;
        let uploader = Uploader {
            producer: Arc::downgrade(producer),
            clock,
            schedule: Schedule::new(settings.delay, fastrand::u64(..), clock.now()),
            taken: Clock::unix_time(),
            selection: settings.selection,
            service: CloudWatch::new(settings.service, settings.namespace),
            retries: Limit::default(),
            losses: Limit::default(),
        };
        producer.worker.spawn(uploader.run(closing));
        Uploads { close_by }
    }

    /// Uploads what is left, until `deadline`, but for two seconds at least and five at most.
    ///
    /// # Cancel safety
    /// The task goes on.
    pub(super) async fn finish(&self, deadline: Time, now: Time) {
        let deadline = deadline.min(now + MOST_AT_CLOSE).max(now + LEAST_AT_CLOSE);
        self.close_by.send_replace(Some(deadline));
        self.close_by.closed().await;
    }
}

struct Uploader {
    /// The task must not keep alive what keeps the task alive.
    producer: Weak<ProducerShared>,
    clock: Clock,
    schedule: Schedule,
    /// When the batch was taken, since 1970.
    taken: Duration,
    selection: Selection,
    service: CloudWatch,
    retries: Limit,
    losses: Limit,
}

impl Uploader {
    /// Runs on: a task of its own.
    async fn run(mut self, closing: watch::Receiver<Option<Time>>) {
        let (clock, mut deadline) = (self.clock, closing.clone());
        let out_of_time = async move {
            // An error means that there is no producer any more.
            let deadline = deadline.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
            clock.wait_until(deadline.unwrap_or(Time::ZERO)).await;
        };
        tokio::select! {
            () = self.work(closing) => {}
            () = out_of_time => {
                let data = self.schedule.data_left();
                if data > 0 {
                    warn!(data, "the producer was closed before its last metrics were uploaded: they are lost");
                }
            }
        }
    }

    async fn work(&mut self, mut closing: watch::Receiver<Option<Time>>) {
        loop {
            if closing.borrow().is_some() {
                self.schedule.close();
            }
            match self.schedule.poll(self.clock.now()) {
                Step::Take => {
                    let Some(producer) = self.producer.upgrade() else { return };
                    let data = self.selection.data(producer.take_unsent());
                    self.taken = Clock::unix_time();
                    self.schedule.take(calls(data), self.clock.now());
                }
                Step::Send(call) => {
                    let outcome = self.service.put(&call, self.taken).await;
                    let fate = outcome.as_ref().map_err(|failure| failure.fate).copied();
                    let now = self.clock.now();
                    let consequence = self.schedule.handle(fate, now);
                    if let (Err(failure), Some(consequence)) = (&outcome, consequence) {
                        self.tell(failure, consequence, now);
                    }
                }
                Step::Wait(until) => tokio::select! {
                    () = self.clock.wait_until(until) => {}
                    changed = closing.changed() => if changed.is_err() { return },
                },
                Step::End => return,
            }
        }
    }

    fn tell(&mut self, failure: &Failure, consequence: Consequence, now: Time) {
        let Failure { code, message: words, .. } = failure;
        let limit = if matches!(consequence, Consequence::Again(_)) { &mut self.retries } else { &mut self.losses };
        let Some(left_out) = limit.pass(1, now) else { return };
        match consequence {
            Consequence::Again(pause) => warn!(
                %code, %words, ?pause, left_out,
                "metrics are not uploaded, and tried again; user records are not affected; is cloudwatch:PutMetricData allowed? \
                 metrics_level = none turns uploads off"
            ),
            Consequence::Refused(data) => {
                warn!(%code, %words, data, left_out, "CloudWatch refuses metrics: they are lost");
            }
            Consequence::Unknown(data) => warn!(
                %code, %words, data, left_out,
                "metrics may or may not have reached CloudWatch; they are not sent again, for no value must count twice"
            ),
            Consequence::TooOld(data, of) => warn!(
                %code, %words, data, ?of, left_out,
                "metrics could not be uploaded for ten minutes and are lost; is cloudwatch:PutMetricData allowed? \
                 metrics_level = none turns uploads off"
            ),
            Consequence::Closed(data) => warn!(
                %code, %words, data, left_out,
                "the last metrics could not be uploaded and are lost; is cloudwatch:PutMetricData allowed? metrics_level = none \
                 turns uploads off"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::schedule::Fate;
    use super::*;
    use crate::error::ErrorCode;
    use crate::runtime::log::tests::lines_of;

    fn uploads(config: &Config) -> Option<UploadSettings> {
        UploadSettings::new(config, Some(&TransportSettings::from(config)), None)
    }

    #[test]
    fn nothing_is_uploaded_without_level_or_aws() {
        assert!(uploads(&Config::new()).is_some());
        assert!(uploads(&Config::new().metrics_level(MetricsLevel::None)).is_none());
        let local = Config::new().endpoint_url("http://127.0.0.1:4567");
        assert!(uploads(&local).is_none());
        assert!(UploadSettings::new(&Config::new(), None, None).is_none(), "a transport of the caller's own");
        assert!(UploadSettings::new(&local.cloudwatch_endpoint_url("http://127.0.0.1:1"), None, None).is_some());
    }

    #[test]
    fn a_failure_is_a_line_that_says_what_to_do_and_a_storm_of_them_is_not_one_in_the_log() {
        let service = uploads(&Config::new()).unwrap().service;
        let mut uploader = Uploader {
            producer: Weak::new(),
            clock: Clock::start(),
            schedule: Schedule::new(Duration::from_secs(60), 7, Time::ZERO),
            taken: Duration::ZERO,
            selection: Selection::new(&Config::new()),
            service: CloudWatch::new(service, "Shop".to_owned()),
            retries: Limit::default(),
            losses: Limit::default(),
        };
        let failure =
            Failure { fate: Fate::Denied, code: ErrorCode::new("AccessDenied"), message: "not you".to_owned() };
        let lines = lines_of(|| {
            let again = Consequence::Again(Duration::from_secs(60));
            for millis in [0, 5_000, 9_999, 10_000] {
                uploader.tell(&failure, again, Time::from_millis(millis));
            }
            uploader.tell(&failure, Consequence::TooOld(12, Duration::from_secs(60)), Time::from_millis(10_000));
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        for part in ["code=AccessDenied", "not you", "cloudwatch:PutMetricData", "metrics_level = none", "left_out=0"] {
            assert!(lines[0].contains(part), "{part} in {}", lines[0]);
        }
        assert!(lines[1].contains("left_out=2"), "{}", lines[1]);
        assert!(lines[2].contains("data=12") && lines[2].contains("of=60s"), "{}", lines[2]);
    }

    #[test]
    fn cloudwatch_has_its_own_place_and_credentials_or_those_of_the_streams() {
        let mut config = Config::new().region("eu-west-1").endpoint_url("https://kinesis.test");
        let same = uploads(&config).unwrap().service;
        assert_eq!((same.region.as_deref(), same.endpoint_url), (Some("eu-west-1"), None));
        assert!(matches!(same.credentials, Credentials::DefaultChain));
        config.set("cloudwatch_region", "eu-west-2").unwrap();
        config.set("CloudwatchEndpoint", "monitoring.test").unwrap();
        config.set("CloudwatchPort", "8443").unwrap();
        config.set("cloudwatch_access_key_id", "AKID").unwrap();
        config.set("cloudwatch_secret_access_key", "secret").unwrap();
        let own = uploads(&config).unwrap().service;
        assert_eq!(own.region.as_deref(), Some("eu-west-2"));
        assert_eq!(own.endpoint_url.as_deref(), Some("https://monitoring.test:8443"));
        assert!(matches!(&own.credentials, Credentials::Static { access_key_id, .. } if access_key_id == "AKID"));
    }
}
