//! Against the embedded service.

use bytes::Bytes;
use kinesis_producer::config::WireFormat;
use kinesis_producer::core::outcome::EntryOutcome;
use kinesis_producer::local::LocalService;
use kinesis_producer::runtime::AwsTransport;
use kinesis_producer::{HashKey, Stored};

use super::{list, put, record};

const LAST: u128 = u128::MAX;

async fn records_arrive_as_they_are(wire_format: WireFormat) {
    let service = LocalService::start().await.unwrap();
    service.create_stream("orders", 2).await.unwrap();
    let transport = AwsTransport::new(&service.config().wire_format(wire_format)).await.unwrap();
    let large = Bytes::from((0..300_000_u32).map(|n| n as u8).collect::<Vec<u8>>());
    let sent = [record("a", 0, "first"), record("b", LAST, large.clone()), record("ä", 1, "")];

    let outcome = put(&transport, "orders", &sent).await.unwrap();

    let stored = service.read_stream("orders").await.unwrap();
    assert_eq!(outcome.len(), 3);
    for (entry, (key, data)) in outcome.iter().zip([("a", Bytes::from("first")), ("b", large), ("ä", Bytes::new())]) {
        let EntryOutcome::Stored { shard_id, sequence_number } = entry else { panic!("{entry:?}") };
        let found = stored.iter().find(|record| record.sequence_number == *sequence_number).unwrap();
        assert_eq!((found.partition_key.as_str(), &found.data, &found.shard_id), (key, &data, shard_id));
    }
}

#[tokio::test]
async fn records_in_cbor_arrive_as_they_are() {
    records_arrive_as_they_are(WireFormat::Cbor).await;
}

#[tokio::test]
async fn records_in_json_arrive_as_they_are() {
    records_arrive_as_they_are(WireFormat::Json).await;
}

#[tokio::test]
async fn shards_come_with_their_ranges_and_closed_ones_are_told_apart() {
    let service = LocalService::start().await.unwrap();
    service.create_stream("orders", 1).await.unwrap();
    let transport = AwsTransport::new(&service.config()).await.unwrap();
    let before = list(&transport, "orders", None).await.unwrap();
    assert_eq!(before.shards.len(), 1);
    assert_eq!(
        (before.shards[0].first, before.shards[0].last, before.shards[0].open),
        (HashKey(0), HashKey(LAST), true)
    );

    let middle = HashKey(1 << 127);
    service.split_shard("orders", &before.shards[0].id, middle).await.unwrap();

    let mut open = list(&transport, "orders", None).await.unwrap().shards;
    open.retain(|shard| shard.open);
    let ranges: Vec<_> = open.iter().map(|shard| (shard.first, shard.last)).collect();
    assert_eq!(ranges, [(HashKey(0), HashKey(middle.0 - 1)), (middle, HashKey(LAST))]);

    service.merge_shards("orders", &open[0].id, &open[1].id).await.unwrap();
    service.update_shard_count("orders", 2).await.unwrap();
    let open = list(&transport, "orders", None).await.unwrap().shards.iter().filter(|shard| shard.open).count();
    assert_eq!(open, 2);
}

#[tokio::test]
async fn an_unknown_stream_is_refused_in_the_services_words() {
    let service = LocalService::start().await.unwrap();
    for wire_format in [WireFormat::Cbor, WireFormat::Json] {
        let transport = AwsTransport::new(&service.config().wire_format(wire_format)).await.unwrap();
        let failure = put(&transport, "nowhere", &[record("a", 0, "x")]).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.status), ("ResourceNotFoundException", Some(400)));
        assert_eq!(failure.stored, Stored::No);
        assert!(failure.message.contains("nowhere"), "{}", failure.message);
    }
    let transport = AwsTransport::new(&service.config()).await.unwrap();
    let failure = list(&transport, "nowhere", None).await.unwrap_err();
    assert_eq!(failure.code.as_str(), "ResourceNotFoundException");
}

#[tokio::test]
async fn records_may_go_to_the_arn_of_a_stream() {
    let service = LocalService::start().await.unwrap();
    service.create_stream("orders", 1).await.unwrap();
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    for wire_format in [WireFormat::Cbor, WireFormat::Json] {
        let transport = AwsTransport::new(&service.config().wire_format(wire_format)).await.unwrap();
        assert_eq!(put(&transport, arn, &[record("a", 0, "x")]).await.unwrap().len(), 1);
    }
}

#[test]
fn the_service_needs_no_executor() {
    let service = LocalService::start_blocking().unwrap();
    service.block_on(service.create_stream("orders", 1)).unwrap();
    assert!(service.block_on(service.read_stream("orders")).unwrap().is_empty());
}

#[tokio::test]
async fn the_service_may_be_dropped_among_tasks() {
    drop(LocalService::start().await.unwrap());
}
