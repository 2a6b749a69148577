//! Recovery of a scheduler's log somewhere else.

use async_trait::async_trait;
use protocol::{DataItem, ans104};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use unit::{Adopted, HeldQuery, Ordered, RecoveryState, Result};

use super::Scheduler;

/// Bytes of items that are shown in one request, at most, unless one item is larger.
const SHOWN_BYTES: usize = 4 << 20;

impl Scheduler {
    async fn recover<T: DeserializeOwned>(&self, path: &str, body: bytes::Bytes) -> Result<T> {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))]);
        let url = format!("{}/api/v1/recovery/{path}", self.url());
        self.transport().send(Method::POST, &url, headers, body).await?.json::<T>()
    }
}

#[async_trait]
impl unit::Recovery for Scheduler {
    async fn recovery(&self, query: HeldQuery) -> Result<RecoveryState> {
        let HeldQuery { only, after, limit } = query;
        let only = only.map(|process| format!("&process={process}")).unwrap_or_default();
        let after = after.map(|process| format!("&after={process}")).unwrap_or_default();
        let url = format!("{}/api/v1/recovery?limit={limit}{only}{after}", self.url());
        self.transport().get(&url).await?.json::<RecoveryState>()
    }

    async fn adopt(&self, shown: Vec<DataItem>) -> Result<Adopted> {
        let mut all = Adopted::default();
        let mut rest = &shown[..];
        while !rest.is_empty() {
            let mut size = 0;
            let fits = rest.iter().take_while(|item| {
                size += item.bytes().len();
                size <= SHOWN_BYTES
            });
            let (some, more) = rest.split_at(fits.count().max(1));
            rest = more;
            let Adopted { adopted, known, kept, void, passed_over } =
                self.recover("adopt", ans104::bundle(some)).await?;
            all.adopted += adopted;
            all.known += known;
            all.kept += kept;
            all.void += void;
            all.passed_over += passed_over;
        }
        Ok(all)
    }

    async fn order(&self, order: DataItem) -> Result<Ordered> {
        self.recover("order", order.bytes().clone()).await
    }
}
