//! The simulated process and the world around it: a clock that jumps from event to event, a driver that feeds the pipelines as
//! the runtime does.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

use fastrand::Rng;
use kinesis_producer::core::outcome::PutRecordsOutcome;
use kinesis_producer::core::{Event as Told, RequestId};
use kinesis_producer::time::Time;

use super::events::{Event, Events};
use super::ledger::nanos;
use super::network::brief;
use super::scenario::{MS, SECOND, Scenario};
use super::stream::Stream;

/// Steps of one pipeline at one moment, and its wake-ups in one second, at most.
const MANY_STEPS: usize = 2_000;

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) scenario: Scenario,
    pub(crate) events: Events,
    pub(crate) streams: Vec<Stream>,
    pub(crate) permits: usize,
    frozen_until: u64,
    /// Nanoseconds frozen so far.
    pub(crate) frozen: u64,
    /// Faults and puts are over.
    pub(crate) calm: bool,
    aborted: bool,
    pub(crate) tracing: bool,
    pub(crate) hasher: Option<DefaultHasher>,
}

macro_rules! note {
    ($world:expr, $($words:tt)*) => {
        if $world.tracing || $world.hasher.is_some() {
            let line = format!($($words)*);
            $world.note(&line);
        }
    };
}

pub(crate) use note;

impl World {
    /// Callers of a stream go in by up to `intakes` ways.
    pub(crate) fn new(seed: u64, intakes: usize, tracing: bool, hashing: bool) -> World {
        let mut rng = Rng::with_seed(seed);
        let scenario = Scenario::new(&mut rng);
        let streams =
            (0..scenario.streams.len()).map(|number| Stream::new(number, &scenario, intakes, &mut rng)).collect();
        let mut world = World {
            now: 0,
            rng,
            permits: scenario.max_connections,
            events: Events::default(),
            streams,
            frozen_until: 0,
            frozen: 0,
            calm: false,
            aborted: false,
            tracing,
            hasher: hashing.then(DefaultHasher::new),
            scenario,
        };
        note!(world, "{:#?}", world.scenario);
        world.plan();
        world
    }

    fn plan(&mut self) {
        for (number, plan) in self.scenario.streams.iter().enumerate() {
            self.events.push(0, Event::Caller(number));
            plan.reshards.iter().for_each(|at| self.events.push(*at, Event::Reshard(number)));
            plan.flushes.iter().for_each(|at| self.events.push(*at, Event::Flush(number)));
        }
        self.scenario.freezes.iter().for_each(|(at, long)| self.events.push(*at, Event::Freeze(*long)));
        self.scenario.abort_at.iter().for_each(|at| self.events.push(*at, Event::Abort));
        self.events.push(self.scenario.active, Event::EndOfPuts);
    }

    pub(crate) fn note(&mut self, line: &str) {
        if self.tracing {
            println!("{:>14.6} ms  {line}", self.now as f64 / MS as f64);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.write_u64(self.now);
            hasher.write(line.as_bytes());
        }
    }

    /// Runs it all; panics where something does not hold. Gives a hash of the trace.
    pub(crate) fn run(mut self) -> u64 {
        self.settle();
        while !self.calm {
            self.step();
        }
        self.finish();
        note!(self, "all decided");
        self.idle();
        if !self.aborted {
            self.probe();
        }
        for stream in &self.streams {
            stream.ledger.check_stream(&stream.service);
            let counters = stream.pipeline.counters();
            assert_eq!(counters.user_records_received, counters.user_records_stored + counters.user_records_failed);
            assert_eq!(counters.user_records_stored, stream.ledger.stored);
            let has_map = stream.pipeline.needs_hash_keys() == (stream.service.open_shards() > 1);
            assert!(has_map || stream.list_dead, "the shard map was never read again");
            // Without a map the pace is guessed: a throttled answer may mean that too much was taken by then.
            let paced = stream.pace.possible || counters.throttled == 0;
            if self.scenario.is_ideal(stream.number) && paced && !stream.held_too_much() {
                // At the very pace of the service it is enough that one request takes less time to it than the one before.
                let close = |failure: &str| failure == "Throttled" && stream.plan.config.rate_limit == 100;
                let failed: Vec<_> = stream.ledger.failed.iter().filter(|(failure, _)| !close(failure)).collect();
                assert!(failed.is_empty(), "nothing was wrong, but {failed:?}");
            }
            stream.tally.check(&stream.metrics.read(None, Time::from_nanos(self.now)));
            assert!(stream.service.reshards > 0 || counters.wrong_shard == 0, "wrong shards without resharding");
        }
        if self.tracing {
            for stream in &self.streams {
                println!("stored {} failed {:?}", stream.ledger.stored, stream.ledger.failed);
            }
        }
        self.hasher.map_or(0, |hasher| hasher.finish())
    }

    /// Runs until all is decided and nobody waits.
    fn finish(&mut self) {
        let most = self.streams.iter().map(|stream| stream.ledger.most_awake()).max().unwrap_or(0);
        let slack = self.streams.iter().map(|stream| stream.ledger.slack()).max().unwrap_or(0);
        let decided = self.awake() + most;
        while self.streams.iter().any(|stream| stream.ledger.undecided() > 0 || !stream.backlogged.is_empty()) {
            if self.awake() > decided {
                for stream in &self.streams {
                    assert_eq!(stream.ledger.undecided(), 0, "stream {}: undecided for too long", stream.number);
                    // Nothing but a shard's debt keeps a put waiting.
                    let admits = stream.admits().max(self.frozen_until) + slack;
                    let waiting = stream.backlogged.len();
                    assert!(waiting == 0 || self.now <= admits, "puts wait for {waiting} lanes since {admits}");
                }
            }
            self.step();
        }
    }

    /// Nanoseconds that the process was not frozen.
    fn awake(&self) -> u64 {
        self.now.saturating_sub(self.frozen)
    }

    fn run_until(&mut self, time: u64) {
        while self.events.next().is_some_and(|at| at <= time) {
            self.step();
        }
        self.now = self.now.max(time);
    }

    /// Nothing happens, and nothing wakes up often.
    fn idle(&mut self) {
        // What was armed for the expiry of things decided long ago has passed then.
        let ttl = self.streams.iter().map(|stream| nanos(stream.plan.config.record_ttl)).max().unwrap_or(0);
        self.run_until(self.now.max(self.frozen_until) + ttl + 10 * SECOND);
        let before: Vec<u64> = self.streams.iter().map(|stream| stream.timeouts).collect();
        self.run_until(self.now + 70 * SECOND);
        for (stream, before) in self.streams.iter().zip(before) {
            let wakes = stream.timeouts - before;
            assert!(wakes <= 85, "stream {} woke up {wakes} times in 70 idle seconds", stream.number);
        }
    }

    /// The faults are long over: user records are stored again.
    fn probe(&mut self) {
        let mut failed = Vec::new();
        for number in 0..self.streams.len() {
            failed.push(self.streams[number].ledger.failed.clone());
            self.streams[number].plan.work.poisonous = 0.0;
            self.streams[number].puts_huge = false;
        }
        for _ in 0..3 {
            for number in 0..self.streams.len() {
                let wanted = self.streams[number].want(&mut self.rng);
                // A shard that was sent too much at once has to wait for its pace, but not for ever.
                self.streams[number].put(wanted, &mut self.rng, self.now, self.frozen);
            }
            self.settle();
            self.run_until(self.now + 130 * SECOND);
            let now = self.now;
            let waiting = |stream: &Stream| !stream.backlogged.is_empty() && stream.admits() + SECOND < now;
            assert!(!self.streams.iter().any(waiting), "an idle stream refuses a user record");
        }
        self.probe_flush();
        for (stream, failed) in self.streams.iter().zip(failed) {
            let dead = stream.plan.outage.is_some_and(|(_, until, _)| until == u64::MAX);
            let patient = nanos(stream.plan.config.record_ttl) >= 5 * SECOND;
            // A dead stream may hold the only connection for longer than the other's record_ttl.
            let alone = self.streams.len() == 1 || self.scenario.max_connections > 1;
            if !dead && !stream.list_dead && patient && !stream.is_slow() && alone {
                assert_eq!(stream.ledger.failed, failed, "faults are over, but user records fail");
            }
        }
    }

    /// A flush ends the linger.
    fn probe_flush(&mut self) {
        for number in 0..self.streams.len() {
            let wanted = self.streams[number].want(&mut self.rng);
            self.streams[number].put(wanted, &mut self.rng, self.now, self.frozen);
            self.events.push(self.now + MS, Event::Flush(number));
        }
        self.settle();
        self.run_until(self.now + SECOND);
        for stream in &self.streams {
            let lonely = self.streams.len() == 1 && !stream.list_dead;
            assert!(!lonely || stream.ledger.undecided() == 0 || stream.is_slow(), "a flush lingers");
        }
        self.run_until(self.now + 130 * SECOND);
    }

    fn step(&mut self) {
        let Some((at, event)) = self.events.pop() else { panic!("nothing will ever happen again") };
        assert!(at >= self.now);
        self.now = at;
        if let Event::Wake(number, alarm) = event
            && self.streams[number].alarm != alarm
        {
            return;
        }
        if at < self.frozen_until && event.is_of_the_process() {
            // All at once, in any order.
            let thawed = self.frozen_until + self.rng.u64(0..MS);
            return self.events.push(thawed, event);
        }
        let of_the_process = event.is_of_the_process();
        self.handle(event);
        if of_the_process && self.now >= self.frozen_until {
            self.settle();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Caller(number) => self.handle_caller(number),
            Event::Wake(number, _) => {
                let stream = &mut self.streams[number];
                stream.wake_for = u64::MAX;
                let second = self.now / SECOND;
                stream.wakes = if stream.wakes.0 == second { (second, stream.wakes.1 + 1) } else { (second, 1) };
                assert!(stream.wakes.1 <= MANY_STEPS, "{MANY_STEPS} wake-ups in a second");
            }
            Event::Answer(number, id, outcome) => self.handle_answer(number, id, outcome),
            Event::ListAnswer(number, outcome) => {
                note!(
                    self,
                    "{number}: shard list {:?}",
                    outcome.as_ref().map(|page| page
                        .shards
                        .iter()
                        .map(|shard| (shard.id.as_str(), shard.open))
                        .collect::<Vec<_>>())
                );
                self.streams[number].ledger.shards.listed(&outcome);
                self.streams[number].pipeline.handle_shard_list(outcome, Time::from_nanos(self.now));
            }
            Event::JobDone(number, job) => {
                note!(self, "{number}: taken apart");
                self.streams[number].pipeline.handle_taken_apart(job.run(), Time::from_nanos(self.now));
            }
            Event::Flush(number) => {
                let stream = &mut self.streams[number];
                let flush = stream.pipeline.flush(Time::from_nanos(self.now));
                stream.ledger.flushed(flush);
                note!(self, "{number}: flush {flush}");
            }
            Event::Freeze(long) => {
                note!(self, "frozen for {long} ns");
                self.frozen_until = self.now + long;
                self.frozen += long;
            }
            Event::Abort => self.abort(),
            Event::EndOfPuts => {
                note!(self, "faults and puts end");
                self.calm = true;
                self.streams.iter_mut().for_each(|stream| stream.pending.clear());
            }
            Event::Arrive { stream, id, entries, answered } => self.serve(stream, id, &entries, answered),
            Event::ListArrive { stream, token, answer_after } => self.serve_list(stream, token, answer_after),
            Event::Reshard(number) => {
                note!(self, "{number}: resharded");
                self.streams[number].service.reshard(&mut self.rng, self.now);
            }
        }
    }

    fn handle_answer(&mut self, number: usize, id: RequestId, outcome: PutRecordsOutcome) {
        let stream = &mut self.streams[number];
        let Some((sent, entries)) = stream.in_flight.remove(&id) else { return };
        note!(self, "{number}: {id:?} answered {:?}", brief(&outcome));
        self.permits += 1;
        let stream = &mut self.streams[number];
        stream.answered(&entries, &outcome, self.now, self.frozen);
        // What comes after an abort is not counted.
        if !self.aborted {
            stream.tally.answered(&entries, &outcome, self.now - sent);
        }
        let final_ids = stream.decided_by(&entries, &outcome);
        stream.pipeline.handle_put_records(id, outcome, Time::from_nanos(self.now));
        self.drain(number);
        let undecided = final_ids.into_iter().find(|id| !self.streams[number].ledger.is_reported(*id));
        assert_eq!(undecided, None, "the answer was final");
    }

    fn handle_caller(&mut self, number: usize) {
        if self.calm || self.aborted {
            return;
        }
        let stream = &mut self.streams[number];
        stream.want_burst(&mut self.rng);
        let pause = self.rng.u64(0..=2 * stream.plan.work.pause);
        self.events.push(self.now + pause, Event::Caller(number));
    }

    fn abort(&mut self) {
        note!(self, "abort");
        self.aborted = true;
        for number in 0..self.streams.len() {
            let stream = &mut self.streams[number];
            stream.ledger.aborted = true;
            stream.pending.clear();
            stream.pipeline.abort(Time::from_nanos(self.now));
            self.drain(number);
            let stream = &mut self.streams[number];
            assert_eq!(stream.ledger.undecided(), 0, "an abort leaves nothing undecided");
            assert!(
                stream.pipeline.poll_transmit(Time::from_nanos(self.now)).is_none(),
                "something is sent after an abort"
            );
        }
    }

    /// Lets everybody act until nobody has anything to do at this moment.
    fn settle(&mut self) {
        let mut again = true;
        while again {
            let first = self.rng.usize(0..self.streams.len());
            again = false;
            for number in 0..self.streams.len() {
                let number = (number + first) % self.streams.len();
                self.drive(number);
                again |= self.put_pending(number);
            }
        }
        for number in 0..self.streams.len() {
            self.streams[number].check();
            self.arm(number);
        }
    }

    fn put_pending(&mut self, number: usize) -> bool {
        let mut accepted = false;
        while let Some(wanted) = self.streams[number].pending.pop_front() {
            let records: usize = self.streams.iter().map(|stream| stream.ledger.undecided()).sum();
            let bytes: usize = self.streams.iter().map(|stream| stream.ledger.undecided_bytes).sum();
            if records >= self.scenario.budget_records || bytes + wanted.bytes() > self.scenario.budget_bytes {
                self.streams[number].pending.push_front(wanted);
                break;
            }
            accepted |= self.streams[number].put(wanted, &mut self.rng, self.now, self.frozen);
        }
        accepted
    }

    fn drive(&mut self, number: usize) {
        let now = Time::from_nanos(self.now);
        for _ in 0..MANY_STEPS {
            self.drain(number);
            let stream = &mut self.streams[number];
            if stream.pipeline.poll_timeout() <= now {
                stream.timeouts += 1;
                stream.pipeline.handle_timeout(now);
                assert!(stream.pipeline.poll_timeout() > now, "handle_timeout leaves something due");
            } else if stream.pipeline.transmit_due() <= now && self.permits > 0 {
                match stream.pipeline.poll_transmit(now) {
                    Some(transmit) => self.send(number, transmit),
                    None => assert!(stream.pipeline.transmit_due() > now, "due, but there is nothing"),
                }
            } else {
                return;
            }
        }
        panic!("stream {number} is busy for ever");
    }

    fn drain(&mut self, number: usize) {
        while let Some(job) = self.streams[number].pipeline.poll_job() {
            self.start_job(number, job);
        }
        while let Some(batch) = self.streams[number].pipeline.poll_reports() {
            note!(self, "{number}: report {:?} {:?} {:?}", batch.members(), batch.is_stored(), batch.failure());
            let stream = &mut self.streams[number];
            batch.measure(&mut stream.metrics);
            let tally = &mut stream.tally;
            stream.ledger.reported(batch, (self.now, self.frozen), |report, data_len| tally.reported(report, data_len));
        }
        while let Some(measurement) = self.streams[number].pipeline.poll_measurement() {
            self.streams[number].metrics.measure(measurement, Time::from_nanos(self.now));
        }
        while let Some(lane) = self.streams[number].pipeline.poll_admitted() {
            note!(self, "{number}: room in lane {lane}");
            let stream = &mut self.streams[number];
            let waited = stream.backlogged.remove(&lane).unwrap_or_default();
            if !self.calm && !self.aborted {
                waited.into_iter().rev().for_each(|wanted| stream.pending.push_front(wanted));
            }
        }
        while let Some(told) = self.streams[number].pipeline.poll_event() {
            note!(self, "{number}: {told:?}");
            if let Told::MapInstalled { .. } = told {
                self.streams[number].pace.started.get_or_insert(self.now);
                self.streams[number].ledger.shards.installed();
            }
        }
    }

    /// Sets the alarm for what comes next.
    fn arm(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        let mut next = stream.pipeline.poll_timeout();
        if self.permits > 0 {
            next = next.min(stream.pipeline.transmit_due());
        }
        let next = next.as_nanos();
        if next < stream.wake_for {
            stream.wake_for = next;
            stream.alarm += 1;
            let wake = Event::Wake(number, stream.alarm);
            let at = next.max(self.now).saturating_add(self.rng.u64(0..=self.scenario.wake_jitter));
            self.events.push(at, wake);
        }
    }
}
