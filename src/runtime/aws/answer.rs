//! The SDK's answers in the core's words.

use std::sync::Arc;

use aws_sdk_kinesis::operation::list_shards::ListShardsOutput;
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::types::PutRecordsResultEntry;

use super::failure::senseless_answer;
use crate::core::outcome::{CallFailure, EntryOutcome, ListShardsOutcome, PutRecordsOutcome, Shard, ShardPage};
use crate::error::ErrorCode;
use crate::record::{HashKey, SequenceNumber, ShardId};

/// The fate of each Kinesis record.
pub(super) fn entries(output: PutRecordsOutput) -> PutRecordsOutcome {
    output.records.into_iter().map(entry).collect()
}

fn entry(entry: PutRecordsResultEntry) -> Result<EntryOutcome, CallFailure> {
    match (entry.error_code, entry.shard_id, entry.sequence_number) {
        (Some(code), _, _) => Ok(EntryOutcome::Failed {
            code: ErrorCode::new(&code),
            message: Arc::from(entry.error_message.unwrap_or_default()),
        }),
        (None, Some(shard_id), Some(sequence_number)) => Ok(EntryOutcome::Stored {
            shard_id: ShardId::new(&shard_id),
            sequence_number: SequenceNumber::new(&sequence_number),
        }),
        // No telling what became of it, nor whether the other entries can be believed.
        (None, _, _) => {
            Err(senseless_answer("an entry of the PutRecords answer has neither an error code nor a shard".to_owned()))
        }
    }
}

/// One page of shards.
pub(super) fn page(output: ListShardsOutput) -> ListShardsOutcome {
    let shards = output.shards.unwrap_or_default().into_iter().map(shard).collect::<Result<_, _>>()?;
    Ok(ShardPage { shards, next_token: output.next_token })
}

fn shard(shard: aws_sdk_kinesis::types::Shard) -> Result<Shard, CallFailure> {
    let range = shard.hash_key_range.as_ref();
    let bound = |text: Option<&str>| {
        text.and_then(|text| text.parse::<HashKey>().ok()).ok_or_else(|| {
            senseless_answer(format!("shard {:?} of the ListShards answer has no hash key range", shard.shard_id))
        })
    };
    Ok(Shard {
        id: ShardId::new(&shard.shard_id),
        first: bound(range.map(|range| range.starting_hash_key.as_str()))?,
        last: bound(range.map(|range| range.ending_hash_key.as_str()))?,
        open: shard.sequence_number_range.as_ref().is_none_or(|range| range.ending_sequence_number.is_none()),
    })
}
