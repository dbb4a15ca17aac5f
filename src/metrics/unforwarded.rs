//! What stands in the place of `forward` without the feature `metrics`: nothing is told, nothing is kept.

use super::metric::Metric;
use super::statistic_set::StatisticSet;
use crate::error::ErrorCode;
use crate::record::ShardId;

#[derive(Debug)]
pub(super) struct PlaceHandles;

impl PlaceHandles {
    #[inline]
    pub(super) fn add(&self, _: Metric, _: &StatisticSet) {}
}

#[derive(Debug)]
pub(super) struct StreamHandles;

impl StreamHandles {
    #[inline]
    pub(super) fn new(_: &str) -> StreamHandles {
        StreamHandles
    }

    #[inline]
    pub(super) fn place(&self, _: Option<&ShardId>) -> PlaceHandles {
        PlaceHandles
    }

    #[inline]
    pub(super) fn pending(&mut self, _: i64) {}

    #[inline]
    pub(super) fn error(&mut self, _: &(ErrorCode, Option<ShardId>)) {}

    #[inline]
    pub(super) fn forget_error(&mut self, _: &(ErrorCode, Option<ShardId>)) {}

    #[inline]
    pub(super) fn record(&mut self, _: Metric, _: u64, _: u64, _: u64) {}

    #[inline]
    pub(super) fn record_total_time(&mut self, _: u64, _: u64, _: u64) {}
}
