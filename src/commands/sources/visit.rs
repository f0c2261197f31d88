//! Access to the inventory of one account, which the three verbs share.

use crate::exit::Exit;
use crate::gate::{Gate, Past};
use crate::inventory::{Filter, Inventory};
use crate::launch::accounts;
use crate::launch::accounts::credentials::fetch_credentials;
use crate::launch::venue::{self, Venue};
use crate::model::words::Word;
use crate::remote::http::Http;
use crate::settings::flags::arguments::FilterArgs;
use crate::transport::Transport;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::runtime::runtime;

/// Reads the inventory of the account of rows that name no target. In the sandbox its sources are made up.
pub(super) fn visit(
    context: &Context,
    look: impl AsyncFnOnce(&Inventory) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let account = accounts::unnamed_one(context)?;
    let runtime = runtime()?;
    fetch_credentials(&runtime, std::slice::from_ref(&account))?;
    let ended = runtime.block_on(async {
        let (transport, sandbox) = match &account.venue {
            Venue::Service(transport) => (transport.clone(), None),
            Venue::Workers(_) => return Err(CommandError::AtWorkers(account.name.clone())),
            Venue::Sandbox(scenario) => {
                let sandbox = venue::made_up(scenario, account.settings.seed).await?;
                let endpoint = sandbox.url().parse().expect("a loopback address is an endpoint");
                (Transport::new(endpoint, &account.settings.transport)?, Some(sandbox))
            }
        };
        let credentials = account.credentials.clone().expect("whoever asks from here has credentials");
        let http = Http::new(transport, credentials);
        let (gate, patience) =
            (Gate::new(&account.settings.gate, Past::default(), None), account.settings.lane.patience);
        let ended = look(&Inventory { http, gate, patience }).await;
        drop(sandbox);
        ended
    });
    runtime.shutdown_background();
    ended
}

pub(super) fn filter(args: &FilterArgs) -> Filter {
    let word = |text: &Option<String>| text.as_deref().map(Word::new);
    Filter { state: word(&args.state), cycle: word(&args.cycle), name: args.name.clone(), connected: args.connected }
}
