//! `serve`: a page over the journal until it is interrupted.

use std::env::VarError;
use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::reading::journal;
use super::{CommandError, Context, stdout_failed};
use crate::console;
use crate::exit::Exit;
use crate::report::plain::shown;
use crate::serve::{self, Door, Token, WeakToken};

/// Where the token is, if no file is named. A flag would show it to everybody on the machine.
const TOKEN: &str = "CUTOVER_SERVE_TOKEN";

pub(super) fn serve(
    context: &Context,
    listen: SocketAddr,
    token_file: Option<&Path>,
    hosts: Vec<String>,
) -> Result<Exit, CommandError> {
    let token = token(token_file)?.map(|token| Token::new(&token)).transpose()?;
    if token.is_none() && !listen.ip().is_loopback() {
        return Err(CommandError::OpenToAll(listen));
    }
    let path = context.settings.journal.clone();
    // Whatever is wrong with it is said now, and not to the first who looks.
    drop(journal(context)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Start)?;
    let served = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Start)?;
        let listening = |source| CommandError::Listen { address: listen, source };
        let listener = serve::listen(listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        console::print(|out| writeln!(out, "http://{address}")).map_err(stdout_failed)?;
        let secured = if token.is_some() { "with the token as the password, " } else { "" };
        context.console.say(&format!("{secured}read-only over {}; Ctrl-C ends it", shown(&path)));
        if !address.ip().is_loopback() {
            context.console.say(
                "warning: what goes over the network here is not encrypted; better: a proxy with TLS, or `ssh -L`",
            );
        }
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
            }
            stopping.cancel();
        });
        let door = Door::new(address, hosts, token);
        serve::serve(listener, door, path, stop).await.map_err(CommandError::Start)?;
        Ok(Exit::Done)
    });
    // A report that is still made is for nobody any more.
    runtime.shutdown_background();
    served
}

fn token(file: Option<&Path>) -> Result<Option<SecretString>, CommandError> {
    let Some(path) = file else {
        return match std::env::var(TOKEN) {
            Ok(token) if token.is_empty() => Ok(None),
            Ok(token) => Ok(Some(SecretString::from(token))),
            Err(VarError::NotPresent) => Ok(None),
            // Without a word it would be no token at all.
            Err(VarError::NotUnicode(_)) => Err(WeakToken.into()),
        };
    };
    let line = crate::texts::first_line_of_secret(path);
    let line = line.map_err(|source| CommandError::Input { path: path.to_owned(), source })?;
    Ok(Some(SecretString::from(line.expose_secret().trim())))
}
