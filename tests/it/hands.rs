//! Services that show and say wrong things at wrong moments: no row is settled by them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::journal::hold_up;
use crate::lab::machine::shared;
use crate::service::{Asked, Night, OLD, Reply, Server, TARGET, well};

/// Forms in which a read shows nothing of a field.
fn hollow(id: &str, n: u32) -> Value {
    match n % 6 {
        0 => json!({"id": id, "state": null, "migration_cycle": null}),
        1 => json!({"id": id, "state": "", "migration_cycle": " "}),
        2 => json!({"id": id}),
        3 => json!({"id": id, "state": ["syncing"], "migration_cycle": 7}),
        4 => json!({"state": OLD.0, "migration_cycle": OLD.1}),
        _ => json!({"id": id, "state": "a\u{7}b", "migration_cycle": "syncing"}),
    }
}

#[test]
fn a_look_that_shows_nothing_permits_nothing_and_settles_nothing() {
    let _machine = shared();
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5"];
    // The answer is lost, the change has its effect, and reads show nothing from then on.
    let night = Night::serving(&ids, |server, id, asked| match asked {
        Asked::Change => {
            server.is_now(TARGET);
            (504, json!({}))
        }
        Asked::Show | Asked::List if server.n_changes > 0 => (200, hollow(id, id.as_bytes()[3].into())),
        Asked::Show | Asked::List => (200, server.body(id)),
    });
    night.launch(&["run", "plan.csv", "--attempts", "2"]).exits(1);
    for id in ids {
        night.ends(id, "in_doubt", 1);
    }
    // The change is accepted, and no look ever shows anything.
    let night = Night::serving(&ids, |server, id, asked| match asked {
        Asked::Show | Asked::List if server.n_changes > 0 => (200, hollow(id, id.as_bytes()[3].into())),
        _ => well(server, id, asked),
    });
    night.launch(&["run", "plan.csv", "--attempts", "1"]).exits(1);
    for id in ids {
        let reason = night.ends(id, "unverified", 1);
        assert!(reason.contains("no look succeeded"), "{reason}");
    }
}

#[test]
fn what_a_page_shows_without_its_states_is_asked_for_by_id_and_not_sent_unseen() {
    let _machine = shared();
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5"];
    let only_pages = |server: &mut Server, id: &str, asked| match asked {
        Asked::List => (200, hollow(id, id.as_bytes()[3].into())),
        _ => well(server, id, asked),
    };
    let night = Night::serving(&ids, only_pages);
    night.launch(&["run", "plan.csv"]).exits(0);
    assert_eq!(night.lab.journal().tally()["applied"], 6);
    let never = |server: &mut Server, id: &str, asked| match asked {
        Asked::List | Asked::Show if id != "vm-0" => (200, hollow(id, id.as_bytes()[3].into())),
        _ => well(server, id, asked),
    };
    let night = Night::serving(&ids, never);
    night.launch(&["run", "plan.csv", "--attempts", "1"]).exits(4).says("the look failed: ");
    night.ends("vm-0", "applied", 1);
    for id in &ids[1..] {
        night.ends(id, "pending", 0);
    }
}

#[test]
fn where_no_row_can_be_looked_at_nothing_is_sent_although_the_list_can_be_read() {
    let _machine = shared();
    let ids = ["vm-0", "vm-1", "vm-2"];
    for (status, code, exit) in [(404, "APIGW.0101", 8), (503, "APIGW.0201", 8), (403, "SMS.2248", 5)] {
        // The list shows no source.
        let night = Night::serving(&ids, move |_, _, _| (status, json!({"error_code": code, "error_msg": "no"})));
        night.launch(&["run", "plan.csv", "--attempts", "1"]).exits(exit).says(code).says("nothing was sent");
        for id in ids {
            night.ends(id, "pending", 0);
        }
    }
}

#[test]
fn a_look_that_failed_this_time_is_not_made_good_by_an_earlier_launch() {
    let _machine = shared();
    let ids = ["vm-1", "vm-2", "vm-3"];
    let now_hollow = Arc::new(Mutex::new(false));
    let is_hollow = Arc::clone(&now_hollow);
    let night = Night::serving(&ids, move |server, id, asked| match asked {
        Asked::Change if !*is_hollow.lock().unwrap() => (401, json!({"error_code": "APIGW.0301"})),
        Asked::Show | Asked::List if *is_hollow.lock().unwrap() => (200, hollow(id, 2)),
        _ => well(server, id, asked),
    });
    night.launch(&["run", "plan.csv"]).exits(5);
    *now_hollow.lock().unwrap() = true;
    let n_before: Vec<u32> = ids.iter().map(|id| night.service.server(id).n_changes).collect();
    night.launch(&["resume", "--attempts", "1"]);
    let n_after: Vec<u32> = ids.iter().map(|id| night.service.server(id).n_changes).collect();
    assert_eq!(n_after, n_before, "nothing is sent that this launch has not seen");
}

#[test]
fn what_is_refused_after_a_doubt_is_looked_at_first() {
    let _machine = shared();
    let ids = ["moved", "as-before", "elsewhere"];
    let night = Night::serving(&ids, |server, id, asked| match asked {
        Asked::Change if server.n_changes == 1 => (504, json!({})),
        Asked::Change => {
            // The first change has taken effect meanwhile, or somebody else was quicker.
            match id {
                "moved" => server.is_now(TARGET),
                "elsewhere" => server.is_now(("error", "syncing")),
                _ => (),
            }
            (409, json!({"error_code": "SMS.1104", "error_msg": "not in this state"}))
        }
        Asked::Show | Asked::List => (200, server.body(id)),
    });
    night.launch(&["run", "plan.csv"]).exits(1);
    night.ends("moved", "applied", 2);
    night.ends("elsewhere", "overtaken", 2);
    assert!(night.ends("as-before", "refused", 2).contains("SMS.1104"));
    let before = "SELECT group_concat(DISTINCT before_copystate) FROM v_row";
    assert_eq!(night.lab.journal().value(before), OLD.0);

    night.launch(&["retry", "--only", "refused"]).exits(1);
    assert_eq!(night.lab.journal().value(before), OLD.0);
    let back = night.lab.cutover(&["rollback", "-o", "back.csv"]).exits(0);
    for id in ids {
        let plan = std::fs::read_to_string(night.lab.path("back.csv")).unwrap();
        assert!(plan.contains(id), "{id} is not in\n{plan}\n{}", back.stderr);
    }
}

#[test]
fn one_strange_look_after_a_change_is_no_verdict() {
    let _machine = shared();
    // Gone for half a second; behind, because others moved it between our look and our change; and truly moved.
    let ids = ["gone", "behind", "gone-in-doubt", "moved", "gone-for-good"];
    let night = Night::serving(&ids, |server, id, asked| {
        // The first look is one of these, however late it comes.
        let for_ms = if id == "gone-in-doubt" { 1_500 } else { 500 };
        let at_first = server.n_looks_since <= 1 || server.changed_within(Duration::from_millis(for_ms));
        match (id, asked) {
            ("gone-in-doubt", Asked::Change) => {
                server.is_now(TARGET);
                (502, json!({}))
            }
            ("gone" | "gone-in-doubt", Asked::Show | Asked::List) if at_first => (404, json!({})),
            ("gone-for-good", Asked::Show | Asked::List) if server.n_changes > 0 => (404, json!({})),
            ("behind", Asked::Show | Asked::List) if at_first => {
                (200, json!({"id": id, "state": "replicate", "migration_cycle": "replicating"}))
            }
            ("moved", Asked::Change) => {
                server.is_now(("error", "syncing"));
                (200, json!({}))
            }
            _ => well(server, id, asked),
        }
    });
    night.launch(&["run", "plan.csv"]).exits(1);
    for id in ["gone", "behind", "gone-in-doubt"] {
        night.ends(id, "applied", 1);
    }
    for id in ["moved", "gone-for-good"] {
        night.ends(id, "overtaken", 1);
        assert!(night.service.server(id).n_looks > 2, "two looks agree");
    }
}

#[test]
fn what_waits_again_behind_its_look_is_looked_at_again_before_its_intent() {
    #[derive(Default)]
    struct Told {
        n_changes: u32,
        n_waits: u32,
        /// Id of a row whose look was on its way when the lane was told to wait again.
        late: Option<String>,
        looked_at: BTreeMap<String, Instant>,
        oldest_look: Duration,
    }
    let _machine = shared();
    let told = Arc::new(Mutex::new(Told::default()));
    let so_far = Arc::clone(&told);
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5", "vm-6", "vm-7"];
    let night = Night::serving(&ids, move |server, id, asked| {
        let mut told = so_far.lock().unwrap();
        if asked != Asked::Change {
            told.looked_at.insert(id.to_owned(), Instant::now());
            let is_late = asked == Asked::Show && server.n_changes == 0 && told.n_waits == 1 && told.late.is_none();
            let takes = Duration::from_millis(if is_late { 1_500 } else { 0 });
            told.late = told.late.take().or_else(|| is_late.then(|| id.to_owned()));
            return Reply { takes, ..well(server, id, asked).into() };
        }
        told.n_changes += 1;
        let age = told.looked_at[id].elapsed();
        told.oldest_look = told.oldest_look.max(age);
        if told.n_changes == 2 || (told.n_waits == 1 && told.late.is_some()) {
            told.n_waits += 1;
            // The stated limit is that of the pace, so that nothing is learned from it.
            let text = "policy user over ratelimit,limit:5,time:1 second";
            let body = json!({"error_code": "APIGW.0308", "error_msg": text});
            return Reply { retry_after_s: Some(8), ..(429, body).into() };
        }
        well(server, id, asked).into()
    });
    let plan = ids.map(|id| format!("\n{id},cutovering,cutovering,syncing"));
    night.lab.write("plan.csv", &format!("source_id,copystate,migrationcycle,expect_copystate{}", plan.concat()));
    night.launch_at("5", &["run", "plan.csv"]).exits(0);
    let told = told.lock().unwrap();
    assert_eq!(told.n_waits, 2);
    assert!(told.oldest_look < Duration::from_secs(5), "sent {:?} after a look", told.oldest_look);
    let late = told.late.as_deref().unwrap();
    let begun = format!("SELECT count(*) FROM v_attempt WHERE source_id = '{late}'");
    assert_eq!(night.lab.journal().count(&begun), 1, "{late}");
}

#[test]
fn what_a_page_shows_on_target_while_a_look_is_on_its_way_to_the_disk_is_not_sent_again() {
    let _machine = shared();
    let (journal, held_up_at) = (Arc::new(OnceLock::<PathBuf>::new()), Arc::new(OnceLock::<Instant>::new()));
    let (of_client, held_up) = (Arc::clone(&journal), Arc::clone(&held_up_at));
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5"];
    let after = move |at: &OnceLock<Instant>, ms| at.get().is_some_and(|at| at.elapsed() > Duration::from_millis(ms));
    let night = Night::serving(&ids, move |server, id, asked| match (id, asked) {
        ("vm-0", Asked::Change) => (504, json!({})),
        // Answers the look that permits another attempt, and then makes the change.
        ("vm-0", Asked::Show) if server.n_changes > 0 && held_up.get().is_none() => {
            hold_up(of_client.get().unwrap(), Duration::from_secs(3));
            held_up.set(Instant::now()).unwrap();
            (200, server.body(id))
        }
        // These are asked for repeatedly by a page that also shows the first row.
        (_, Asked::Change) => (200, json!({})),
        _ => {
            if after(&held_up, if id == "vm-0" { 200 } else { 1_800 }) {
                server.is_now(TARGET);
            }
            (200, server.body(id))
        }
    });
    journal.set(night.lab.path("cutover.db")).unwrap();
    night.launch(&["run", "plan.csv"]).exits(0);
    assert!(held_up_at.get().is_some());
    night.ends("vm-0", "applied", 1);
}

#[test]
fn an_intent_that_was_long_on_its_way_to_the_disk_does_not_leave_on_an_old_look() {
    /// Time after which others move the rest: prepared requests are dropped before that.
    const MOVED_AFTER: Duration = Duration::from_millis(1_500);
    #[derive(Default)]
    struct Told {
        n_changes: u32,
        held_up_at: Option<Instant>,
        looked_at: BTreeMap<String, Instant>,
        oldest_look: Duration,
        sent_over: Vec<String>,
    }
    let _machine = shared();
    let told = Arc::new(Mutex::new(Told::default()));
    let journal = Arc::new(OnceLock::<PathBuf>::new());
    let (so_far, of_client) = (Arc::clone(&told), Arc::clone(&journal));
    let ids = ["vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5", "vm-6", "vm-7", "vm-8", "vm-9"];
    let night = Night::serving(&ids, move |server, id, asked| {
        let mut told = so_far.lock().unwrap();
        let is_change = asked == Asked::Change;
        let is_untouched = server.n_changes == u32::from(is_change);
        if is_untouched && told.held_up_at.is_some_and(|at| at.elapsed() > MOVED_AFTER) {
            server.is_now(("syncing", "checking"));
            told.sent_over.extend(is_change.then(|| id.to_owned()));
        }
        if is_change {
            told.n_changes += 1;
            told.oldest_look = told.oldest_look.max(told.looked_at[id].elapsed());
        } else {
            told.looked_at.insert(id.to_owned(), Instant::now());
        }
        if told.n_changes == 3 && told.held_up_at.is_none() {
            hold_up(of_client.get().unwrap(), Duration::from_secs(7));
            told.held_up_at = Some(Instant::now());
        }
        well(server, id, asked)
    });
    journal.set(night.lab.path("cutover.db")).unwrap();
    let plan = ids.map(|id| format!("\n{id},cutovering,cutovering,syncing"));
    night.lab.write("plan.csv", &format!("source_id,copystate,migrationcycle,expect_copystate{}", plan.concat()));
    night.launch_at("5", &["run", "plan.csv"]).exits(1);
    let told = told.lock().unwrap();
    assert_eq!(told.sent_over, Vec::<String>::new(), "others had moved them");
    assert!(told.oldest_look < Duration::from_secs(5), "sent {:?} after a look", told.oldest_look);
    let journal = night.lab.journal();
    let late = "SELECT count(*) FROM v_attempt WHERE error_msg = 'held back for too long after it was looked at'";
    assert!(journal.count(late) > 0, "an intent waited for the disk");
    for id in ids {
        let n_changes = night.service.server(id).n_changes;
        journal.ends_in(id, if n_changes == 0 { "overtaken" } else { "applied" });
    }
    assert!(journal.count("SELECT count(*) FROM v_row WHERE verdict = 'overtaken'") > 3);
}
