//! End to end over real sockets: a producer puts into the embedded service, and what lies in the stream is read back.

use std::collections::BTreeMap;
use std::time::Duration;

use kinesis_producer::local::LocalService;
use kinesis_producer::wire::deaggregate;
use kinesis_producer::{Producer, Stored, UserRecord};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_put_comes_out_again_with_one_report_each() {
    let service = LocalService::start().await.unwrap();
    service.create_stream("orders", 4).await.unwrap();
    let producer = Producer::new(service.config()).await.unwrap();
    let stream = producer.stream("orders").unwrap();
    let mut tickets = BTreeMap::new();
    for n in 0..2000 {
        let key = format!("key-{}", n % 97);
        let data = format!("payload {n}");
        tickets.insert(data.clone(), stream.put(UserRecord::new(&key, data.as_bytes())).await.unwrap());
    }
    assert!(producer.flush(LONG).await);
    let mut stored = BTreeMap::new();
    for record in service.read_stream("orders").await.unwrap() {
        for user in deaggregate(&record.partition_key, None, &record.data) {
            let place = (record.shard_id.clone(), record.sequence_number.clone(), user.sub_sequence_number);
            stored.insert(String::from_utf8(user.data.to_vec()).unwrap(), place);
        }
    }
    assert_eq!(stored.len(), 2000);
    for (data, ticket) in tickets {
        let report = ticket.await;
        assert_eq!(report.stored(), Stored::Yes);
        let (shard_id, sequence_number, sub_sequence_number) = &stored[&data];
        assert_eq!(report.shard_id(), Some(shard_id));
        assert_eq!(report.sequence_number(), Some(sequence_number));
        assert_eq!(report.sub_sequence_number().unwrap_or(0), *sub_sequence_number);
        assert_eq!(report.attempt_count(), 1);
    }
    assert_eq!(producer.outstanding().records, 0);
    assert_eq!(producer.close(LONG).await, 0);
}
