//! Requests that a worker makes for launches elsewhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::http::Http;
use super::service::Remote as _;
use super::spoken::{
    SpokenPage, SpokenQuestion, SpokenReadiness, SpokenRenewal, SpokenResult, SpokenSource, connection,
};
use crate::credentials::identity::Generation;
use crate::hands::{HandedWork, Serving};
use crate::model::SourceId;

/// Time in which credentials are renewed while whoever asked waits. It goes on behind that.
const RENEWED_WITHIN: Duration = Duration::from_millis(500);

/// Targets that are served, each by its way to the service.
pub(crate) struct ServedAccounts(HashMap<String, Arc<Http>>);

impl ServedAccounts {
    pub(crate) fn new(ways: impl IntoIterator<Item = (String, Http)>) -> Self {
        Self(ways.into_iter().map(|(target, http)| (target, Arc::new(http))).collect())
    }
}

impl Serving for ServedAccounts {
    fn work(&self, target: &str, question: &[u8]) -> Option<HandedWork> {
        let http = Arc::clone(self.0.get(target)?);
        Some(match serde_json::from_slice(question).ok()? {
            SpokenQuestion::Ready => {
                HandedWork::Read(async move { bytes(&SpokenReadiness::new(http.ready().await)) }.boxed())
            }
            SpokenQuestion::Renew { generation } => HandedWork::Read(
                async move { bytes(&SpokenRenewal::from(http.renew(Generation::from_number(generation)).await)) }
                    .boxed(),
            ),
            SpokenQuestion::Put { source, sends, anew } => {
                let source = SourceId::new(&source).ok()?;
                let of_preparation = Arc::clone(&http);
                let send =
                    async move { bytes(&SpokenResult::of_change(http.put(&source, &sends, connection(anew)).await)) };
                HandedWork::Change { prepare: made_ready(of_preparation), send: send.boxed() }
            }
            SpokenQuestion::Show { source, anew } => {
                let source = SourceId::new(&source).ok()?;
                let show = async move {
                    made_ready(Arc::clone(&http)).await;
                    let shown = http.show(&source, connection(anew)).await;
                    bytes(&SpokenResult::of_read(shown, SpokenSource::from))
                };
                HandedWork::Read(show.boxed())
            }
            SpokenQuestion::Page { offset, anew } => {
                let page = async move {
                    made_ready(Arc::clone(&http)).await;
                    let page = http.page(offset, connection(anew)).await;
                    bytes(&SpokenResult::of_read(page, SpokenPage::from))
                };
                HandedWork::Read(page.boxed())
            }
        })
    }
}

/// Renews credentials that are about to expire. Those that are still good are not waited for; without any, the request says so itself.
fn made_ready(http: Arc<Http>) -> BoxFuture<'static, ()> {
    let renewal = async move {
        let renewing = tokio::spawn(async move { http.ready().await.is_ok() });
        _ = tokio::time::timeout(RENEWED_WITHIN, renewing).await;
    };
    renewal.boxed()
}

fn bytes(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("an answer is plain data")
}
