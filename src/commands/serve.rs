//! `serve`: serves pages over the journal until it is interrupted.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::console;
use crate::credentials::variables;
use crate::exit::Exit;
use crate::serve::{self, Door, IN_LINK, Token};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::verb::journal;
use crate::verb::runtime::runtime;
use crate::wording::plain::shown;

/// Variable with the token, if no file is named. A flag would show it to everybody on the machine.
const TOKEN: &str = "CUTOVER_SERVE_TOKEN";

/// Arguments that say how access is given.
#[derive(Clone, Copy)]
pub(super) struct KeyArgs<'a> {
    pub(super) token_file: Option<&'a Path>,
    pub(super) no_token: bool,
}

/// Token that gives access.
enum TokenSource {
    /// A token that the operator knows.
    Given(Token),
    /// A token that is made for this process, and shown once.
    Made,
    /// No token: everybody has access.
    None,
}

impl TokenSource {
    fn from_args(args: KeyArgs<'_>) -> Result<Self, CommandError> {
        if args.no_token {
            return Ok(TokenSource::None);
        }
        let given = token(args.token_file)?;
        Ok(given.map_or(Ok(TokenSource::Made), |text| Token::new(&text).map(TokenSource::Given))?)
    }

    /// Returns the token, the address to open, and an explanation of how it gives access.
    fn turned(self, address: SocketAddr) -> (Option<Token>, SecretString, &'static str) {
        let plain = SecretString::from(format!("http://{address}"));
        match self {
            TokenSource::Given(token) => (Some(token), plain, "with the token as the password, "),
            TokenSource::Made => {
                let (token, text) = Token::random();
                let link = format!("http://{address}/?{IN_LINK}={}", text.expose_secret());
                (Some(token), link.into(), "only by this link, which lets in whoever has it: ")
            }
            TokenSource::None => (None, plain, ""),
        }
    }
}

pub(super) fn serve(
    context: &Context,
    listen: SocketAddr,
    key: KeyArgs<'_>,
    hosts: Vec<String>,
) -> Result<Exit, CommandError> {
    let key = TokenSource::from_args(key)?;
    if !matches!(key, TokenSource::Given(_)) && !listen.ip().is_loopback() {
        return Err(CommandError::OpenToAll(listen));
    }
    let path = context.settings.journal.clone();
    // An unusable journal is reported now, and not to the first visitor.
    drop(journal::to_read(context)?);
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Start)?;
        let listening = |source| CommandError::Listen { address: listen, source };
        let listener = serve::listen(listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let (token, link, how) = key.turned(address);
        console::print(|out| writeln!(out, "{}", link.expose_secret())).map_err(stdout_failed)?;
        context.console.say(&format!("{how}read-only over {}; Ctrl-C ends it", shown(&path)));
        if token.is_none() {
            let open =
                "without a token everybody on this machine can read the journal here, whatever its own rights say";
            context.console.warn_all_the_same(open);
        }
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
        let door = Door::new(address, hosts, token, context.console);
        serve::serve(listener, door, path, stop).await;
        Ok(Exit::Done)
    });
    // A report that is still being made has no receiver any more.
    runtime.shutdown_background();
    served
}

fn token(file: Option<&Path>) -> Result<Option<SecretString>, CommandError> {
    let Some(path) = file else {
        // One that cannot be read is an error: ignored, it would count as no token at all.
        let found = variables::look_up(TOKEN, &|name| std::env::var_os(name))?;
        return Ok(found.map(|found| SecretString::from(found.text)));
    };
    let line = crate::texts::first_line_of_secret(path);
    let line = line.map_err(|source| CommandError::Input { path: path.to_owned(), source })?;
    Ok(Some(SecretString::from(line.expose_secret().trim())))
}
