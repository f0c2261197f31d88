//! Claims of accounts by several runs, and what is heard of whoever leads one.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use jiff::Timestamp;

use super::proxy::Proxy;
use super::server::{Server, program, until};
use super::site::Site;
use crate::cluster::beat::{BeatListener, Beating};
use crate::cluster::bucket::NoBucket;
use crate::cluster::claims::{Claim, ClaimKey, ClaimStanding, Claims, NotClaimed};
use crate::cluster::stream::{Names, told};
use crate::event::Event;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::exit::Exit;
use crate::log::beat::Beat;
use crate::log::suite::waited;

const KEY: &str = "account.0123456789abcdef0123456789abcdef";

fn account() -> ClaimKey {
    ClaimKey::Account("0123456789abcdef0123456789abcdef".to_owned())
}

fn slot() -> ClaimKey {
    ClaimKey::of_run_key("nightly-2026-11-28")
}

/// A server, and a run with a log on it.
struct Bucket {
    _server: Server,
    proxy: Proxy,
    site: Site,
    direct: jetstream::Context,
}

impl Bucket {
    fn new() -> Option<Self> {
        let server = Server::alone(&program()?);
        let (site, proxy) = (Site::new(1), Proxy::before(server.port));
        let direct = site.connect(&[server.port]);
        Some(Self { _server: server, proxy, site, direct })
    }

    fn claims(&self, jetstream: &jetstream::Context) -> Claims {
        self.site.runtime.block_on(Claims::open(jetstream, 1)).unwrap()
    }

    fn claim(&self, claim: &Claim) -> Result<Option<Claim>, NotClaimed> {
        self.site.runtime.block_on(self.claims(&self.direct).claim(&account(), claim))
    }

    fn give_back(&self, claim: &Claim) {
        self.site.runtime.block_on(self.claims(&self.direct).give_back(&account(), claim)).unwrap();
    }

    fn take_back(&self, claim: &Claim, replaced: Option<&Claim>) {
        self.site.runtime.block_on(self.claims(&self.direct).take_back(&account(), claim, replaced)).unwrap();
    }

    fn begin(&self, claim: &Claim) -> Result<(), NotClaimed> {
        self.site.runtime.block_on(self.claims(&self.direct).begin(&account(), claim))
    }

    /// Sends signs of life of a launch, until they are dropped.
    fn signs(&self, subject: String) -> Beating {
        Beating::start(self.site.runtime.handle(), self.direct.client(), subject, Beat::of_launch(1, String::new()))
    }

    /// Returns the number of the last commit of the run of the site.
    fn last_commit(&self) -> u64 {
        self.site.runtime.block_on(async {
            let stream = self.direct.get_stream(&self.site.names.stream).await.unwrap();
            stream.get_last_raw_message_by_subject(&self.site.names.log).await.unwrap().sequence
        })
    }

    /// Asserts that an account is refused, because of this claim.
    fn is_refused(&self, ours: &Claim, because_of: &Claim) {
        match self.claim(ours).unwrap_err() {
            NotClaimed::Taken(found) => assert_eq!(found, *because_of),
            other => panic!("{other:?}"),
        }
    }
}

fn by(run: &str, launch: u32, writer: &str) -> Claim {
    Claim {
        run: run.to_owned(),
        launch,
        host: "h".to_owned(),
        pid: 1,
        since: Timestamp::UNIX_EPOCH,
        writer: writer.to_owned(),
        after: 1,
        begun: false,
    }
}

/// Claim of a run that is to be made.
fn of_new(run: &str, writer: &str) -> Claim {
    Claim { after: 0, ..by(run, 1, writer) }
}

fn launch_ended() -> Event {
    let ended = RunEvent::LaunchEnded { exit: Exit::Done, reason: None, elapsed_ms: 1, refusal: None };
    Event::unnumbered(LaneId::RUN, Some(Timestamp::UNIX_EPOCH), ended.into())
}

#[test]
fn of_runs_that_claim_an_account_at_once_one_wins_and_the_others_are_told_of_it() {
    let Some(bucket) = Bucket::new() else { return };
    let _logs = ["r1", "r2", "r3", "r4"].map(|run| {
        let mut site = Site::new(1);
        site.names = Names::of_run(run);
        site.writer(&bucket.direct).append(&mut [waited()]).unwrap();
    });
    let (bucket, all) = (&bucket, ["r1", "r2", "r3", "r4"].map(|run| by(run, 1, run)));
    for _ in 0..5 {
        let claimed = std::thread::scope(|scope| {
            let claiming = all.each_ref().map(|claim| scope.spawn(move || bucket.claim(claim)));
            claiming.map(|claiming| claiming.join().unwrap())
        });
        let winner: Vec<&Claim> =
            all.iter().zip(&claimed).filter(|(_, got)| got.is_ok()).map(|(ours, _)| ours).collect();
        let [winner] = winner[..] else { panic!("{claimed:?}") };
        for refused in claimed.iter().filter_map(|got| got.as_ref().err()) {
            assert!(matches!(refused, NotClaimed::Taken(found) if found == winner), "{refused:?}");
        }
        // Whoever was refused has nothing to give back.
        all.iter().filter(|other| *other != winner).for_each(|other| bucket.give_back(other));
        bucket.is_refused(&by("r5", 1, "r5"), winner);
        bucket.give_back(winner);
    }
}

#[test]
fn of_launches_that_claim_the_account_of_their_run_at_once_those_that_come_to_nothing_leave_it_to_the_run() {
    let Some(bucket) = Bucket::new() else { return };
    let (all, other) = (["a", "b", "c"].map(|writer| by("r1", 2, writer)), by("r2", 1, "d"));
    bucket.site.writer(&bucket.direct).append(&mut [waited()]).unwrap();
    // Each of them may be the one that begins, and the others end in any order.
    for (winner, losers) in [(0, [1, 2]), (0, [2, 1]), (1, [0, 2]), (1, [2, 0]), (2, [0, 1]), (2, [1, 0])] {
        let replaced = all.each_ref().map(|claim| bucket.claim(claim).unwrap());
        assert_eq!(replaced, [None, Some(all[0].clone()), Some(all[1].clone())]);
        for loser in losers {
            bucket.take_back(&all[loser], replaced[loser].as_ref());
            let NotClaimed::Taken(found) = bucket.claim(&other).unwrap_err() else { panic!("it is free") };
            assert_eq!(found.run, "r1");
        }
        bucket.give_back(&all[winner]);
        assert_eq!(bucket.claim(&other).unwrap(), None);
        bucket.take_back(&other, None);
    }
}

#[test]
fn a_claim_of_our_own_is_there_and_one_of_another_launch_of_the_run_is_taken_over() {
    let Some(bucket) = Bucket::new() else { return };
    let (first, second, other) = (by("r1", 1, "a"), by("r1", 2, "b"), by("r2", 1, "c"));
    bucket.site.writer(&bucket.direct).append(&mut [waited()]).unwrap();
    bucket.claim(&first).unwrap();
    bucket.claim(&first).unwrap();
    bucket.is_refused(&other, &first);
    bucket.claim(&second).unwrap();
    bucket.is_refused(&other, &second);
    // Whoever was replaced takes nothing away.
    bucket.give_back(&first);
    bucket.is_refused(&other, &second);
    bucket.give_back(&second);
    bucket.claim(&other).unwrap();
}

#[test]
fn a_claim_ends_with_the_launch_that_made_it_and_not_when_that_was_cut_off() {
    let Some(bucket) = Bucket::new() else { return };
    let (cut_off, other) = (by("r1", 1, "a"), by("r2", 1, "c"));
    let mut writer = bucket.site.writer(&bucket.direct);
    writer.append(&mut [waited()]).unwrap();
    bucket.claim(&cut_off).unwrap();
    writer.append(&mut [waited()]).unwrap();
    bucket.is_refused(&other, &cut_off);
    writer.append(&mut [launch_ended()]).unwrap();
    bucket.claim(&other).unwrap();
}

#[test]
fn a_launch_that_was_killed_before_its_fence_keeps_nobody_out_and_one_that_prepares_does() {
    let Some(bucket) = Bucket::new() else { return };
    let mut writer = bucket.site.writer(&bucket.direct);
    writer.append(&mut [launch_ended()]).unwrap();
    let other = of_new("r2", "c");
    // It comes behind the end of the launch before it, or its run is not made.
    for killed in [Claim { after: bucket.last_commit(), ..by("r1", 2, "b") }, of_new("r3", "d")] {
        bucket.claim(&killed).unwrap();
        let preparing = bucket.signs(Names::of_run(&killed.run).prepare);
        bucket.is_refused(&other, &killed);
        drop(preparing);
        let began = Instant::now();
        bucket.claim(&other).unwrap();
        assert!(began.elapsed() > Duration::from_secs(6), "{:?}", began.elapsed());
        // It was only stopped, and wakes: behind its fence it is told, and takes nothing away.
        let NotClaimed::Taken(found) = bucket.begin(&killed).unwrap_err() else { panic!("it is refused") };
        assert_eq!(found, other);
        bucket.take_back(&other, None);
    }
}

#[test]
fn a_claim_that_has_begun_is_not_over_by_one_answer_that_the_log_is_gone_and_is_by_many() {
    let Some(bucket) = Bucket::new() else { return };
    let (begun, other) = (of_new("r1", "a"), of_new("r2", "c"));
    bucket.claim(&begun).unwrap();
    bucket.begin(&begun).unwrap();
    let begun = Claim { begun: true, ..begun };
    let at_first = Instant::now();
    // Whoever is heard has it, whatever the log is.
    let leads = bucket.signs(Names::of_run("r1").beat);
    bucket.is_refused(&other, &begun);
    drop(leads);
    bucket.claim(&other).unwrap();
    assert!(at_first.elapsed() > Duration::from_secs(25), "{:?}", at_first.elapsed());
}

#[test]
fn a_claim_that_another_launch_of_the_run_replaced_before_its_fence_is_put_again_by_the_one_that_begins() {
    let Some(bucket) = Bucket::new() else { return };
    let (first, second, other) = (by("r1", 1, "a"), by("r1", 1, "b"), by("r2", 1, "c"));
    bucket.site.writer(&bucket.direct).append(&mut [waited()]).unwrap();
    bucket.claim(&first).unwrap();
    bucket.claim(&second).unwrap();
    bucket.begin(&first).unwrap();
    bucket.take_back(&second, Some(&first));
    bucket.is_refused(&other, &Claim { begun: true, ..first.clone() });
    // Somebody removed it by hand.
    bucket.give_back(&first);
    bucket.begin(&first).unwrap();
    bucket.is_refused(&other, &Claim { begun: true, ..first });
}

#[test]
fn a_key_is_that_of_a_run_that_is_made_and_of_one_that_is_about_to_be_made() {
    let Some(bucket) = Bucket::new() else { return };
    let (claims, block_on) = (bucket.claims(&bucket.direct), &bucket.site.runtime);
    let (made, second) = (of_new("r1", "a"), of_new("r2", "c"));
    let claim = |claim: &Claim| block_on.block_on(claims.claim(&slot(), claim));
    let standing = || block_on.block_on(claims.standing(&slot(), &made)).unwrap();
    claim(&made).unwrap();
    assert_eq!(standing(), ClaimStanding::NotBegun);
    let preparing = bucket.signs(Names::of_run("r1").prepare);
    assert!(matches!(claim(&second), Err(NotClaimed::Taken(found)) if found == made));
    drop(preparing);
    // Given up before it was made.
    claim(&second).unwrap();
    block_on.block_on(claims.free(&slot(), "r2")).unwrap();
    claim(&made).unwrap();
    bucket.site.writer(&bucket.direct).append(&mut [launch_ended()]).unwrap();
    assert_eq!(standing(), ClaimStanding::Holds, "whatever became of it");
    assert!(matches!(claim(&second), Err(NotClaimed::Taken(found)) if found == made));
    block_on.block_on(claims.free(&slot(), "r2")).unwrap();
    assert_eq!(block_on.block_on(claims.claimed(&slot())).unwrap(), Some(made.clone()), "it is not that of r2");
    block_on.block_on(claims.free(&slot(), "r1")).unwrap();
    claim(&second).unwrap();
}

#[test]
fn a_bucket_that_may_lose_a_claim_is_refused_setting_by_setting_and_one_that_more_servers_keep_is_not() {
    let Some(bucket) = Bucket::new() else { return };
    let (runtime, jetstream) = (&bucket.site.runtime, &bucket.direct);
    let made = |change: fn(&mut async_nats::jetstream::stream::Config)| {
        runtime.block_on(async {
            _ = jetstream.delete_stream("KV_cutover").await;
            drop(Claims::open(jetstream, 1).await.unwrap());
            let mut settings = jetstream.get_stream("KV_cutover").await.unwrap().cached_info().config.clone();
            change(&mut settings);
            _ = jetstream.delete_stream("KV_cutover").await;
            jetstream.create_stream(settings).await.unwrap();
            match Claims::open(jetstream, 1).await {
                Ok(_) => String::new(),
                Err(NoBucket::Differs(differences)) => told(&differences),
                Err(NoBucket::NoAnswer(error)) => panic!("{error}"),
            }
        })
    };
    assert_eq!(made(|_| ()), "");
    assert_eq!(
        made(|settings| settings.max_age = Duration::from_hours(1)),
        "max_age is 3600000000000 and has to be null"
    );
    assert_eq!(
        made(|settings| settings.storage = async_nats::jetstream::stream::StorageType::Memory),
        "storage is \"memory\" and has to be \"file\""
    );
    assert_eq!(made(|settings| settings.max_messages_per_subject = 5), "max_msgs_per_subject is 5 and has to be 1");
    runtime.block_on(async {
        let refused = Claims::open(jetstream, 3).await.err();
        assert!(
            matches!(&refused, Some(NoBucket::Differs(differences)) if told(differences).contains("num_replicas is 1 and has to be 3"))
        );
    });
}

#[test]
fn a_claim_whose_answer_was_lost_is_found() {
    let Some(bucket) = Bucket::new() else { return };
    let (claims, claim) = (bucket.claims(&bucket.site.connect(&[bucket.proxy.port])), by("r1", 1, "a"));
    bucket.site.writer(&bucket.direct).append(&mut [waited()]).unwrap();
    bucket.proxy.swallow_answers();
    std::thread::scope(|scope| {
        let claiming = scope.spawn(|| bucket.site.runtime.block_on(claims.claim(&account(), &claim)));
        std::thread::sleep(Duration::from_secs(3));
        bucket.proxy.swallow_nothing();
        claiming.join().unwrap().unwrap();
    });
    bucket.is_refused(&by("r2", 1, "b"), &claim);
}

#[test]
fn what_cannot_be_read_is_no_free_account() {
    let Some(bucket) = Bucket::new() else { return };
    _ = bucket.claims(&bucket.direct);
    let put = bucket.direct.publish(format!("$KV.cutover.{KEY}"), "{\"run\":7}".into());
    bucket.site.runtime.block_on(async { put.await.unwrap().await.unwrap() });
    let refused = bucket.claim(&by("r1", 1, "a")).unwrap_err();
    assert!(matches!(refused, NotClaimed::Unread), "{refused:?}");
}

#[test]
fn a_beat_is_heard_each_second_until_it_ends_and_none_that_waited_for_a_connection() {
    let Some(bucket) = Bucket::new() else { return };
    let (handle, subject) = (bucket.site.runtime.handle(), "cutover.r1.beat".to_owned());
    let listener = bucket.direct.client();
    let mut hearing = bucket.site.runtime.block_on(BeatListener::begin(&listener, subject.clone())).unwrap();
    let mut heard = |time| bucket.site.runtime.block_on(hearing.next_within(Duration::from_millis(time)));
    assert_eq!(heard(100), None);
    let beat = Beat::of_launch(3, "3-ab".to_owned());
    let began = Instant::now();
    let leader = bucket.site.connect(&[bucket.proxy.port]).client();
    let beating = Beating::start(handle, leader, subject.clone(), beat.clone());
    for nth in 0..3 {
        let found = heard(1500).unwrap();
        assert_eq!(found, Beat { at: found.at, ..beat.clone() });
        assert!(began.elapsed() > Duration::from_millis(900) * nth, "{nth}: {:?}", began.elapsed());
    }
    let noise = bucket.direct.client();
    bucket.site.runtime.block_on(noise.publish(subject, "?".into())).unwrap();
    assert!(heard(1500).is_some());
    bucket.proxy.swallow_all();
    // Until the head knows that it is cut off, what it says is lost.
    until("nothing is heard", || heard(1500).is_none().then_some(()));
    std::thread::sleep(Duration::from_secs(6));
    bucket.proxy.swallow_nothing();
    let again = heard(10_000).unwrap();
    assert!(Timestamp::now().duration_since(again.at) < jiff::SignedDuration::from_secs(1), "{again:?}");
    drop(beating);
    while heard(10).is_some() {}
    assert_eq!(heard(1500), None);
}
