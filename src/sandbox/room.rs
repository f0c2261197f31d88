//! Handling of a request: authentication, quota, fault, rules, and the ledger.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use serde_json::json;
use tokio::time::Instant;

use super::answer::{self, HttpAnswer, WireReply};
use super::dice;
use super::door::{AccessControl, Login, segments};
use super::ledger::{Other, RequestEntry, What};
use super::listing::{self, Query};
use super::rules::{self, Ruling};
use super::scenario::{AppliesTo, FaultKind, On, Scenario};
use super::topics::{self, Published};
use super::world::{World, by_share};

pub(super) struct Room {
    pub(super) started: Instant,
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    pub(super) door: AccessControl,
    pub(super) world: Mutex<World>,
    /// Messages that were published to topics of the notification service.
    pub(super) messages: Mutex<Vec<Published>>,
}

/// A reply, the request id in it, and the time that it takes.
pub(super) struct Handled {
    pub(super) reply: WireReply,
    pub(super) request_id: String,
    pub(super) latency: Duration,
}

enum Route {
    Change(String),
    Show(String),
    List,
    Overview,
    Errors,
    /// The token call of IAM, so that a client can renew a token that expires here.
    Tokens,
    /// The lookup of a project by the name of its region, which the SDKs make.
    Projects,
    /// Message to a topic of the notification service: its project and its URN.
    Publish(String, String),
    NoSuchApi,
    WrongMethod,
}

/// Result of a request.
struct Processed {
    reply: WireReply,
    effect: bool,
    fault: Option<&'static str>,
    listed: Vec<u32>,
}

impl Room {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nothing panics while it holds the world")
    }

    /// Returns the world as it is at this moment, and the microseconds since the start.
    pub(super) fn world_now(&self) -> (MutexGuard<'_, World>, u64) {
        let mut world = self.world();
        // Read under the lock, so that times and order of arrival agree.
        let now_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        world.catch_up(now_us);
        (world, now_us)
    }

    /// Decides about a request and enters it in the ledger; what follows is only the way back to the client.
    pub(super) fn handle(&self, head: &Parts, body: &Bytes) -> Handled {
        let route = route(&head.method, head.uri.path());
        // Parsed before the world is locked.
        let sent = match &route {
            Route::Change(_) => rules::as_sent(body).map(Box::new),
            Route::Show(_)
            | Route::List
            | Route::Overview
            | Route::Errors
            | Route::Tokens
            | Route::Projects
            | Route::Publish(..)
            | Route::NoSuchApi
            | Route::WrongMethod => None,
        };
        let (mut world, now_us) = self.world_now();
        let n = world.ledger.len() as u64;
        let request_id = dice::hex_id(self.seed, "request", n);
        let done = match self.refusal(&mut world, &route, head, body, now_us, &request_id) {
            Some(answer) => Processed::answer(answer),
            None => self.done(&mut world, &route, head, body, now_us, &request_id),
        };
        let status = match &done.reply {
            WireReply::Answer(answer) => Some(answer.status),
            WireReply::Reset | WireReply::Silence => None,
        };
        let what = what(&world, route, head, done.listed);
        world.ledger.push(RequestEntry {
            at_us: now_us,
            what,
            status,
            effect: done.effect,
            fault: done.fault,
            body: sent,
        });
        Handled { reply: done.reply, request_id, latency: self.latency(n) }
    }

    fn latency(&self, n: u64) -> Duration {
        let (least, most) = self.scenario.latency_us;
        Duration::from_micros(least + dice::for_number(self.seed, "latency", n) % (most - least).saturating_add(1))
    }

    /// Returns the gateway's refusal before the service sees a request: first by identity, then by quota.
    fn refusal(
        &self,
        world: &mut World,
        route: &Route,
        head: &Parts,
        body: &[u8],
        now_us: u64,
        request_id: &str,
    ) -> Option<HttpAnswer> {
        let is_change = match route {
            Route::NoSuchApi => return Some(answer::no_such_api(request_id)),
            Route::WrongMethod => return Some(answer::wrong_method(request_id)),
            Route::Tokens => return None,
            // A service of its own, which the quota of the other one does not concern.
            Route::Publish(project, _) => {
                let is_other = self.door.project.as_ref().is_some_and(|of_keys| of_keys != project);
                let refusal = self.door.refusal(head, body, now_us, request_id);
                return refusal.or_else(|| is_other.then(|| answer::project_unavailable(request_id)));
            }
            Route::Change(_) => true,
            Route::Show(_) | Route::List | Route::Overview | Route::Errors | Route::Projects => false,
        };
        if let Some(answer) = self.door.refusal(head, body, now_us, request_id) {
            return Some(answer);
        }
        let quota = self.scenario.quota.as_ref()?;
        let applies = match quota.applies_to {
            AppliesTo::All => true,
            AppliesTo::Changes => is_change,
            AppliesTo::Reads => !is_change,
        };
        let wait_us = applies.then(|| world.window.as_mut()?.admit(now_us).err()).flatten()?;
        Some(answer::throttled(quota, wait_us, request_id))
    }

    fn done(
        &self,
        world: &mut World,
        route: &Route,
        head: &Parts,
        body: &Bytes,
        now_us: u64,
        request_id: &str,
    ) -> Processed {
        let query = head.uri.query().unwrap_or_default();
        match route {
            Route::Change(id) => match world.find(id) {
                Some(i) => self.changed(world, i, body, now_us, request_id),
                None => Processed::answer(answer::no_such_source()),
            },
            Route::Show(id) => match world.find(id) {
                Some(i) => {
                    let fault = world.strike(i, On::Read, &self.scenario.faults);
                    let show = || Processed::answer(HttpAnswer::raw_json(listing::show(world, i, now_us)));
                    read(fault, "sms:server:get", request_id, show)
                }
                None => Processed::answer(answer::no_such_source()),
            },
            Route::List => read(self.page_fault(world), "sms:server:list", request_id, || list(world, query, now_us)),
            Route::Overview => read(self.page_fault(world), "sms:server:overview", request_id, || {
                Processed::answer(HttpAnswer::json(200, &listing::overview(world, now_us)))
            }),
            Route::Errors => read(self.page_fault(world), "sms:server:listErrors", request_id, || {
                match Query::parse(query, 100, 50) {
                    Ok(query) => Processed::answer(HttpAnswer::json(200, &listing::errors(world, &query, now_us))),
                    Err(problem) => Processed::answer(answer::invalid(&problem)),
                }
            }),
            Route::Tokens => Processed::answer(self.token(query, body, now_us, request_id)),
            Route::Projects => Processed::answer(self.projects(query)),
            Route::Publish(project, urn) => {
                let mut messages = self.messages.lock().expect("nothing panics while it holds the messages");
                Processed::answer(topics::publish(&mut messages, project, urn, body, request_id))
            }
            Route::NoSuchApi => Processed::answer(answer::no_such_api(request_id)),
            Route::WrongMethod => Processed::answer(answer::wrong_method(request_id)),
        }
    }

    /// Makes one change: the fault decides whether the rules are applied, and whether their answer is sent.
    fn changed(&self, world: &mut World, i: u32, body: &[u8], now_us: u64, request_id: &str) -> Processed {
        let fault = world.strike(i, On::Change, &self.scenario.faults);
        let mut ruled =
            |after_us: Option<u64>| match rules::rule(self.scenario.edition, &world.source(i).copystate, body) {
                Ruling::Records(wants) => match after_us {
                    None => (answer::accepted(), world.change(i, &wants, now_us)),
                    Some(after_us) => {
                        world.change_later(i, &wants, now_us.saturating_add(after_us));
                        (answer::accepted(), false)
                    }
                },
                Ruling::Swallows => (answer::accepted(), false),
                Ruling::Refuses(answer) => (answer, false),
            };
        let (reply, effect) = match fault {
            None => {
                let (answer, effect) = ruled(None);
                (WireReply::Answer(answer), effect)
            }
            Some(FaultKind::SlowEffect { after_us }) => {
                let (answer, effect) = ruled(Some(*after_us));
                (WireReply::Answer(answer), effect)
            }
            Some(FaultKind::ResetBefore) => (WireReply::Reset, false),
            Some(FaultKind::ResetAfter) => (WireReply::Reset, ruled(None).1),
            Some(FaultKind::HangBefore) => (WireReply::Silence, false),
            Some(FaultKind::HangAfter) => (WireReply::Silence, ruled(None).1),
            Some(FaultKind::Silent) => (WireReply::Answer(answer::accepted()), false),
            Some(FaultKind::Forbidden) => (WireReply::Answer(answer::forbidden("sms:server:updateState")), false),
            Some(FaultKind::Unknown) => (WireReply::Answer(answer::no_such_source()), false),
            Some(FaultKind::Redirect { effect }) => (WireReply::Answer(answer::redirect()), *effect && ruled(None).1),
            Some(FaultKind::Garbage { effect }) => (WireReply::Answer(answer::garbage()), *effect && ruled(None).1),
            Some(FaultKind::Status(failure)) => {
                (WireReply::Answer(answer::failure(failure, request_id)), failure.effect && ruled(None).1)
            }
        };
        Processed { reply, effect, fault: fault.map(FaultKind::name), listed: Vec::new() }
    }

    /// Returns the fault for a read of a collection, which is drawn by the number of collections read before.
    fn page_fault(&self, world: &mut World) -> Option<&FaultKind> {
        let roll = dice::unit(dice::for_number(self.seed, "page", world.n_pages));
        world.n_pages += 1;
        let faults = &self.scenario.faults;
        let fault = by_share(faults, On::List, roll).or_else(|| by_share(faults, On::Read, roll));
        fault.map(|fault| &faults[fault].kind)
    }

    /// source: iam, "obtaining a user token through password authentication".
    fn token(&self, query: &str, body: &[u8], now_us: u64, request_id: &str) -> HttpAnswer {
        let refused = |message: &str| {
            HttpAnswer::json(401, &json!({"error": {"code": 401, "message": message, "title": "Unauthorized"}}))
        };
        match self.door.log_in(body) {
            Login::Right => (),
            Login::Wrong => return refused("The username or password is wrong."),
            Login::Locked => return refused("The user is locked: too many wrong passwords."),
        }
        let asked: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let of = |pointer| asked.pointer(pointer).cloned().unwrap_or_default();
        // source: iam token pages: valid for 24 hours.
        let lives = Duration::from_micros(self.door.lives_us.unwrap_or(24 * 3_600_000_000));
        let issued_at = jiff::Timestamp::now();
        let expires_at = issued_at.checked_add(lives).unwrap_or(jiff::Timestamp::MAX);
        let mut token = json!({"token": {
            "issued_at": format!("{issued_at:.6}"), "expires_at": format!("{expires_at:.6}"),
            "methods": ["password"],
            "user": {
                "name": of("/auth/identity/password/user/name"), "id": request_id,
                "domain": of("/auth/identity/password/user/domain"),
            },
        }});
        // A project takes precedence over the domain.
        let of_project = asked.pointer("/auth/scope/project").is_some();
        let (kind, scope) =
            if of_project { ("project", "/auth/scope/project") } else { ("domain", "/auth/scope/domain") };
        token["token"][kind] = of(scope);
        if !query.contains("nocatalog=true") {
            token["token"]["catalog"] = json!([{"type": "sms", "name": "sms", "endpoints": []}]);
        }
        HttpAnswer::json(201, &token).with_header("x-subject-token", self.door.token_at(now_us))
    }
}

impl Room {
    /// Returns one project, whatever name is asked for. source: `huaweicloudsdkcore/auth/credentials.py`.
    fn projects(&self, query: &str) -> HttpAnswer {
        let name = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "name");
        let name = name.map_or_else(|| "sandbox".to_owned(), |(_, value)| value.into_owned());
        let id = self.door.project.as_deref().unwrap_or("sandbox-project");
        HttpAnswer::json(200, &json!({"projects": [{"id": id, "name": name, "enabled": true}]}))
    }
}

impl Processed {
    fn answer(answer: HttpAnswer) -> Self {
        Self { reply: WireReply::Answer(answer), effect: false, fault: None, listed: Vec::new() }
    }
}

/// Reads, unless a fault strikes.
fn read(fault: Option<&FaultKind>, action: &str, request_id: &str, read: impl FnOnce() -> Processed) -> Processed {
    let reply = match fault {
        // Faults of a change's effect do not concern reads; scenarios with such a fault do not parse.
        None | Some(FaultKind::Silent | FaultKind::SlowEffect { .. }) => return read(),
        Some(FaultKind::ResetBefore | FaultKind::ResetAfter) => WireReply::Reset,
        Some(FaultKind::HangBefore | FaultKind::HangAfter) => WireReply::Silence,
        Some(FaultKind::Forbidden) => WireReply::Answer(answer::forbidden(action)),
        Some(FaultKind::Unknown) => WireReply::Answer(answer::no_such_source()),
        Some(FaultKind::Redirect { .. }) => WireReply::Answer(answer::redirect()),
        Some(FaultKind::Garbage { .. }) => WireReply::Answer(answer::garbage()),
        Some(FaultKind::Status(failure)) => WireReply::Answer(answer::failure(failure, request_id)),
    };
    Processed { reply, effect: false, fault: fault.map(FaultKind::name), listed: Vec::new() }
}

fn list(world: &World, query: &str, now_us: u64) -> Processed {
    match Query::parse(query, 200, 200) {
        Ok(query) => {
            let (count, page) = listing::page(world, &query, now_us);
            let answer = HttpAnswer::raw_json(listing::list(world, count, &page, now_us));
            Processed { listed: page, ..Processed::answer(answer) }
        }
        Err(problem) => Processed::answer(answer::invalid(&problem)),
    }
}

fn route(method: &Method, path: &str) -> Route {
    let segments = segments(path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (wanted, route) = match segments.as_slice() {
        ["v3", "sources"] => (Method::GET, Route::List),
        ["v3", "sources", "overview"] => (Method::GET, Route::Overview),
        ["v3", "sources", id] if !id.is_empty() => (Method::GET, Route::Show((*id).to_owned())),
        ["v3", "sources", id, "changestate"] => (Method::PUT, Route::Change((*id).to_owned())),
        ["v3", "errors"] => (Method::GET, Route::Errors),
        ["v3", "auth", "tokens"] => (Method::POST, Route::Tokens),
        ["v3", "projects"] => (Method::GET, Route::Projects),
        ["v2", project, "notifications", "topics", urn, "publish"] => {
            (Method::POST, Route::Publish((*project).to_owned(), (*urn).to_owned()))
        }
        _ => return Route::NoSuchApi,
    };
    if *method == wanted { route } else { Route::WrongMethod }
}

/// Converts a request for the ledger, compactly for the usual ones.
fn what(world: &World, route: Route, head: &Parts, listed: Vec<u32>) -> What {
    let query = head.uri.query().unwrap_or_default();
    let known = |id: &str| world.find(id).filter(|_| query.is_empty());
    let source_id = match route {
        Route::Change(id) => match known(&id) {
            Some(i) => return What::Change(i),
            None => Some(id),
        },
        Route::Show(id) => match known(&id) {
            Some(i) => return What::Show(i),
            None => Some(id),
        },
        Route::List
        | Route::Overview
        | Route::Errors
        | Route::Tokens
        | Route::Projects
        | Route::Publish(..)
        | Route::NoSuchApi
        | Route::WrongMethod => None,
    };
    What::Other(Box::new(Other {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: query.to_owned(),
        source_id,
        listed,
    }))
}
