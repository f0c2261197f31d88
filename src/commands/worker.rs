//! `worker` makes the requests of accounts whose credentials are here, for runs that other machines lead.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::hands::ServedTarget;
use crate::launch::accounts;
use crate::launch::accounts::account::Account;
use crate::launch::accounts::credentials::fetch_credentials;
use crate::launch::venue::Venue;
use crate::remote::http::Http;
use crate::remote::serving::ServedAccounts;
use crate::settings::flags::arguments::WorkerArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::runtime::runtime;
use crate::wording::plain::plain;

/// Serves targets until a signal comes. What is under way then is awaited, unless a second one comes.
pub(super) fn worker(context: &Context, args: &WorkerArgs) -> Result<Exit, CommandError> {
    if context.settings.engine.is_none() {
        return Err(CommandError::NoServers);
    }
    let accounts = accounts::served(context, &args.targets)?;
    let runtime = runtime()?;
    fetch_credentials(&runtime, &accounts)?;
    let targets = accounts.iter().filter_map(target).collect();
    let served: Vec<String> = accounts.iter().map(told).collect();
    let ways = accounts.into_iter().filter_map(way);
    let mut asked_to_end = AskedToEnd::listen(&runtime)?;
    let Some(at_work) = context.logs.serve(targets, Arc::new(ServedAccounts::new(ways)))? else {
        return Err(CommandError::NoServers);
    };
    context.console.say(&format!("serving {}; Ctrl-C ends it", served.join(", ")));
    runtime.block_on(asked_to_end.next());
    context.console.say("leaving: what is under way is awaited; a second Ctrl-C lets go of it");
    let left = std::thread::spawn(move || at_work.leave());
    let exit = runtime.block_on(async {
        tokio::select! {
            exit = asked_to_end.next() => exit,
            () = ended(left) => Exit::Done,
        }
    });
    runtime.shutdown_background();
    Ok(exit)
}

/// Waits until a thread has ended.
async fn ended(thread: std::thread::JoinHandle<()>) {
    _ = tokio::task::spawn_blocking(move || thread.join()).await;
}

/// Signals that ask to end.
struct AskedToEnd {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl AskedToEnd {
    fn listen(runtime: &Runtime) -> Result<Self, CommandError> {
        let _within = runtime.enter();
        let listen = |kind| signal(kind).map_err(CommandError::Start);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one. Returns the exit of a process that it ends at once.
    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

fn target(account: &Account) -> Option<ServedTarget> {
    let (name, place) = (account.profile().to_owned(), account.place_of_service());
    Some(ServedTarget { name, place, key: account.lock_key()? })
}

fn told(account: &Account) -> String {
    format!("`{}` at {}", plain(&account.name), account.lane().endpoint)
}

fn way(account: Account) -> Option<(String, Http)> {
    match account.venue {
        Venue::Service(transport) => Some((account.name, Http::new(transport, account.credentials?))),
        Venue::Workers(_) | Venue::Sandbox(_) => None,
    }
}
