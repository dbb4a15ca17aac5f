//! The network between the simulated process and the service: it delays, loses, reorders and breaks.

use kinesis_producer::Stored;
use kinesis_producer::core::outcome::{CallFailure, EntryOutcome, PutRecordsOutcome, code};
use kinesis_producer::core::{Job, RequestId, Transmit};
use kinesis_producer::error::ErrorCode;

use super::events::Event;
use super::scenario::{Faults, MS, SECOND};
use super::service::{WireEntry, failure};
use super::world::{World, note};

impl World {
    fn faults(&self, number: usize) -> Faults {
        let faults = &self.streams[number].plan.faults;
        if !self.calm {
            return faults.clone();
        }
        Faults { list_page: faults.list_page, list_shows_closed: faults.list_shows_closed, ..Faults::default() }
    }

    pub(crate) fn start_job(&mut self, number: usize, job: Job) {
        match job {
            Job::TakeApart(job) => {
                let delay = self.rng.u64(0..=self.scenario.job_delay);
                self.events.push(self.now + delay, Event::JobDone(number, Box::new(job)));
            }
            Job::ListShards { next_token } => {
                self.streams[number].lists += 1;
                let faults = self.faults(number);
                let timeout = self.scenario.request_timeout;
                if self.rng.f64() < faults.list_never {
                    if self.rng.bool() {
                        self.streams[number].list_dead = true;
                    } else {
                        let outcome = Err(failure(code::TIMEOUT, None));
                        self.events.push(self.now + timeout, Event::ListAnswer(number, outcome));
                    }
                    return;
                }
                let slow = self.rng.f64() < faults.list_slow;
                let delay = self.rng.u64(0..if slow { timeout / 2 } else { 20 * MS });
                let answer_after = self.rng.u64(0..if slow { timeout / 2 } else { 20 * MS });
                let event = Event::ListArrive { stream: number, token: next_token, answer_after };
                self.events.push(self.now + delay, event);
            }
        }
    }

    pub(crate) fn send(&mut self, number: usize, transmit: Transmit) {
        let Transmit { id, records } = transmit;
        let entries: Vec<WireEntry> = records.iter().map(WireEntry::new).collect();
        drop(records);
        note!(self, "{number}: {id:?} sent {:?}", entries.iter().map(|entry| &entry.ids).collect::<Vec<_>>());
        self.permits -= 1;
        let stream = &mut self.streams[number];
        assert!(
            !stream.backed_off || stream.in_flight.is_empty(),
            "more than one probe while the stream is backed off"
        );
        stream.ledger.sent(&entries, self.now, self.frozen);
        for entry in &entries {
            let shard = stream.service.shard_of(entry.hash_key);
            stream.pace.sent(shard, entry.bytes(), stream.debt.rate(), self.now);
            stream.debt.sent(entry.bytes(), self.now);
        }
        stream.in_flight.insert(id, (self.now, entries.clone()));
        let timeout = self.scenario.request_timeout;
        let lost = Err(failure(code::TIMEOUT, None));
        self.events.push(self.now + timeout, Event::Answer(number, id, lost));

        let faults = self.faults(number);
        let now = self.now;
        let outage = self.streams[number]
            .plan
            .outage
            .filter(|(from, until, _)| (*from..*until).contains(&now) && (!self.calm || *until == u64::MAX));
        let soon = now + self.rng.u64(1..50 * MS).min(timeout - 1);
        let mut answered = self.rng.f64() >= faults.answer_lost;
        match outage {
            Some((.., "answer lost")) => answered = false,
            Some((.., code)) => {
                let status = if code == "ServiceUnavailable" { 503 } else { 400 };
                return self.events.push(soon, Event::Answer(number, id, Err(failure(code, Some(status)))));
            }
            None => {}
        }
        if self.rng.f64() < faults.call_connect {
            let refused = CallFailure { stored: Stored::No, ..failure(code::CONNECT, None) };
            return self.events.push(soon, Event::Answer(number, id, Err(refused)));
        }
        if self.rng.f64() < faults.call_reset {
            let broken = CallFailure { code: ErrorCode::new(code::TRANSPORT), ..failure(code::TRANSPORT, None) };
            self.events.push(soon, Event::Answer(number, id, Err(broken)));
            if self.rng.f64() >= faults.stored_anyway {
                return;
            }
            answered = false;
        }
        let late = self.rng.f64() < faults.late;
        let delay = if late {
            timeout + self.rng.u64(0..5 * SECOND)
        } else if self.rng.f64() < faults.slow {
            self.rng.u64(0..timeout)
        } else {
            self.rng.u64(MS..10 * MS)
        };
        self.events.push(now + delay, Event::Arrive { stream: number, id, entries, answered });
    }

    pub(crate) fn serve(&mut self, number: usize, id: RequestId, entries: &[WireEntry], answered: bool) {
        let faults = self.faults(number);
        let outcome = self.streams[number].service.put_records(entries, &faults, &mut self.rng, self.now);
        note!(self, "{number}: {id:?} at the service: {:?}", brief(&outcome));
        if answered {
            let slow = self.rng.f64() < faults.slow;
            let delay = self.rng.u64(0..if slow { self.scenario.request_timeout } else { 10 * MS });
            self.events.push(self.now + delay, Event::Answer(number, id, outcome));
        }
    }

    pub(crate) fn serve_list(&mut self, number: usize, token: Option<String>, answer_after: u64) {
        let faults = self.faults(number);
        let outcome = self.streams[number].service.list_shards(token, &faults, &mut self.rng, self.now);
        self.events.push(self.now + answer_after, Event::ListAnswer(number, outcome));
    }
}

/// A line's worth of an outcome.
pub(crate) fn brief(outcome: &PutRecordsOutcome) -> Result<Vec<String>, (&str, Stored)> {
    let entry = |entry: &EntryOutcome| match entry {
        EntryOutcome::Stored { shard_id, sequence_number } => format!("{shard_id} {sequence_number}"),
        EntryOutcome::Failed { code, .. } => code.as_str().to_owned(),
        _ => "something new".to_owned(),
    };
    match outcome {
        Ok(entries) => Ok(entries.iter().map(entry).collect()),
        Err(failure) => Err((failure.code.as_str(), failure.stored)),
    }
}
