//! The sink over real sockets: requests, control operations, and the faults a client sees on the wire.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use kinesis_sink::{Faults, Options, Sink};
use serde_json::{Value, json};

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// One HTTP/1.1 exchange on a connection of its own; `None` if it ends without an answer.
fn exchange(port: u16, line: &str, target: &str, body: &Value) -> Option<Answer> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = body.to_string();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{target}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap() })
}

fn call(sink: &Sink, target: &str, body: &Value) -> Option<Answer> {
    exchange(sink.port(), "POST /", target, body)
}

fn put(sink: &Sink, keys: &[&str]) -> Option<Answer> {
    let records: Vec<_> = keys.iter().map(|key| json!({"PartitionKey": key, "Data": "AAAAAQAAAAAAAAAA"})).collect();
    call(sink, "PutRecords", &json!({"StreamName": "orders", "Records": records}))
}

fn start(faults: Faults) -> Sink {
    Sink::start(Options { check: true, faults, ..Options::default() }).unwrap()
}

#[test]
fn kinesis_records_are_stored_and_counted() {
    let sink = start(Faults::default());
    let answer = put(&sink, &["a", "b"]).unwrap();
    assert_eq!((answer.status, &answer.body["FailedRecordCount"]), (200, &json!(0)));
    assert!(answer.body["Records"][1]["ShardId"].as_str().unwrap().starts_with("shardId-"));
    let statistics = sink.stop();
    assert_eq!((statistics.put_records_requests, statistics.stored, statistics.stored_bytes), (1, 2, 26));
    let check = statistics.check.unwrap();
    assert_eq!((check.unique, check.duplicates), (1, 1));
}

#[test]
fn shards_are_listed_in_pages_and_closed_ones_on_request() {
    let sink = Sink::start(Options { list_shards_page: 3, ..Options::default() }).unwrap();
    let body = json!({"shards": 8, "stream": "orders"});
    assert_eq!(exchange(sink.control_port(), "POST /control/reshard", "", &body).unwrap().status, 200);
    let list = |request: Value| {
        let (mut request, mut ids) = (request, Vec::new());
        loop {
            let body = call(&sink, "ListShards", &request).unwrap().body;
            ids.extend(body["Shards"].as_array().unwrap().iter().map(|shard| shard["ShardId"].clone()));
            match body.get("NextToken") {
                Some(token) => request = json!({"NextToken": token}),
                None => return ids,
            }
        }
    };
    assert_eq!(list(json!({"StreamName": "orders"})).len(), 12);
    let open = list(json!({"StreamName": "orders", "ShardFilter": {"Type": "AT_LATEST"}}));
    assert_eq!((open.len(), &open[0]), (8, &json!("shardId-000000000004")));
    let summary = call(&sink, "DescribeStreamSummary", &json!({"StreamName": "orders"})).unwrap().body;
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 8);
}

#[test]
fn unknown_streams_operations_and_bad_entries_are_refused() {
    let sink = start(Faults::default());
    let missing = call(&sink, "ListShards", &json!({"StreamName": "missing"})).unwrap();
    assert_eq!((missing.status, &missing.body["__type"]), (400, &json!("ResourceNotFoundException")));
    assert!(missing.head.contains("x-amzn-errortype: ResourceNotFoundException"));
    let unknown = call(&sink, "Frobnicate", &json!({})).unwrap();
    assert_eq!(unknown.body["__type"], "UnknownOperationException");
    assert_eq!(put(&sink, &[""]).unwrap().body["__type"], "ValidationException");
    assert_eq!(put(&sink, &["k"; 501]).unwrap().body["__type"], "ValidationException");
    assert_eq!(sink.statistics().refused_requests["ValidationException"], 2);
}

#[test]
fn a_lost_answer_is_stored_and_not_answered() {
    let sink = start(Faults { lose_answer_rate: 1.0, ..Faults::default() });
    assert!(put(&sink, &["a"]).is_none());
    sink.set_faults(Faults::default()).unwrap();
    assert_eq!(put(&sink, &["a"]).unwrap().status, 200);
    let statistics = sink.statistics();
    assert_eq!((statistics.lost_answers, statistics.stored), (1, 2));
    assert_eq!(statistics.check.unwrap().duplicates, 1);
}

#[test]
fn a_failing_service_answers_500_and_stores_nothing() {
    let sink = start(Faults::default());
    let keys = json!({"fail_for_ms": "0..3600000"});
    let faults = exchange(sink.control_port(), "POST /control/faults", "", &keys).unwrap();
    assert_eq!(faults.body["fail_for_ms"], "0..3600000");
    let answer = put(&sink, &["a"]).unwrap();
    assert_eq!((answer.status, &answer.body["__type"]), (500, &json!("InternalFailure")));
    assert_eq!(exchange(sink.control_port(), "POST /control/reset", "", &json!({})).unwrap().status, 200);
    assert_eq!(sink.stop().entries, 0);
}

#[test]
fn entries_fail_and_shards_throttle_one_by_one() {
    let sink = start(Faults { entry_failure_rate: 1.0, ..Faults::default() });
    assert_eq!(put(&sink, &["a"]).unwrap().body["Records"][0]["ErrorCode"], "InternalFailure");
    sink.set_faults(Faults { enforce_limits: true, throttle_rate_factor: 0.001, ..Faults::default() }).unwrap();
    let throttled = put(&sink, &["k"; 5]).unwrap().body;
    assert_eq!(throttled["FailedRecordCount"], 4);
    assert_eq!(throttled["Records"][4]["ErrorCode"], "ProvisionedThroughputExceededException");
    let statistics = sink.statistics();
    assert_eq!((statistics.failed, statistics.throttled, statistics.stored), (1, 4, 1));
}

#[test]
fn spoilt_answers_look_as_they_should() {
    let sink = start(Faults { wrong_content_type_rate: 1.0, short_answer_rate: 1.0, ..Faults::default() });
    let answer = put(&sink, &["a", "b"]).unwrap();
    assert!(answer.head.contains("text/html"));
    assert_eq!(answer.body["Records"].as_array().unwrap().len(), 1);
}

#[test]
fn a_late_request_is_stored_after_its_client_has_gone() {
    let sink = start(Faults { store_late_rate: 1.0, store_late_ms: 50, ..Faults::default() });
    let mut socket = TcpStream::connect(("127.0.0.1", sink.port())).unwrap();
    let body = r#"{"StreamName":"orders","Records":[{"PartitionKey":"a","Data":"AA=="}]}"#;
    let head = "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.PutRecords\r\ncontent-length: ";
    socket.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    while sink.statistics().late_requests == 0 {
        std::thread::yield_now();
    }
    assert_eq!(sink.statistics().stored, 0);
    drop(socket);
    while sink.statistics().stored == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn bad_faults_are_refused_and_change_nothing() {
    let sink = start(Faults::default());
    assert!(sink.set_faults(Faults { hang_rate: 2.0, ..Faults::default() }).is_err());
    let answer = exchange(sink.control_port(), "POST /control/faults", "", &json!({"unknown": 1})).unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(sink.faults(), Faults::default());
}
