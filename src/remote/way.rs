//! Way to the service: from here, or by a worker elsewhere.

use super::http::Http;
use super::service::{Listed, MadeBy, Read, Remote, Reply, SourceShown};
use super::there::There;
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::model::SourceId;
use crate::model::state::TargetState;
use crate::transport::client::Connection;

/// Way of an account's requests.
pub(crate) enum Way {
    Here(Http),
    There(Box<There>),
}

impl Remote for Way {
    fn made_by(&self) -> MadeBy {
        match self {
            Way::Here(http) => http.made_by(),
            Way::There(there) => there.made_by(),
        }
    }

    async fn ready(&self) -> Result<(), CredentialsError> {
        match self {
            Way::Here(http) => http.ready().await,
            Way::There(there) => there.ready().await,
        }
    }

    fn is_attended(&self) -> bool {
        match self {
            Way::Here(http) => http.is_attended(),
            Way::There(there) => there.is_attended(),
        }
    }

    async fn renew(&self, generation: Generation) -> Renewal {
        match self {
            Way::Here(http) => http.renew(generation).await,
            Way::There(there) => there.renew(generation).await,
        }
    }

    async fn put(&self, source: &SourceId, sends: &TargetState, connection: Connection) -> Reply {
        match self {
            Way::Here(http) => http.put(source, sends, connection).await,
            Way::There(there) => Box::pin(there.put(source, sends, connection)).await,
        }
    }

    async fn show(&self, source: &SourceId, connection: Connection) -> Read<SourceShown> {
        match self {
            Way::Here(http) => http.show(source, connection).await,
            Way::There(there) => Box::pin(there.show(source, connection)).await,
        }
    }

    async fn page(&self, offset: u32, connection: Connection) -> Read<Listed> {
        match self {
            Way::Here(http) => http.page(offset, connection).await,
            Way::There(there) => Box::pin(there.page(offset, connection)).await,
        }
    }
}
