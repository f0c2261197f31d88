//! Where requests go, as the settings have it: what is wrong with that is told before anything is sent.

use crate::lab::{Lab, Launch, plan, shared};

#[test]
fn what_is_wrong_with_the_way_is_told_before_anything_is_sent() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    lab.write("empty.pem", "");
    let service = ["--endpoint", "https://127.0.0.1:1"];
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--region", "ap-southeast-33"], 2, "did you mean `ap-southeast-3`?"),
        (&["--endpoint", "https://sms.example.com/v3"], 2, "has a path"),
        (&["--endpoint", "https://me:pw@sms.example.com"], 2, "user name or password"),
        (&["--endpoint", "http://sms.example.com"], 2, "for loopback only"),
        (&[service[0], service[1], "--ca-bundle", "nowhere.pem"], 2, "the CA bundle `nowhere.pem` cannot be read"),
        (&[service[0], service[1], "--ca-bundle", "empty.pem"], 2, "has no certificate"),
        (&[service[0], service[1], "--connect-timeout", "soon"], 2, "is not a duration"),
        (&[service[0], service[1], "--attempts", "1"], 3, "not sent: connection refused"),
        (&["--endpoint", "https://no-such-host.invalid", "--attempts", "1"], 3, "not sent: DNS: "),
    ];
    for (args, exit, says) in cases {
        lab.cutover(&[&["plan", "plan.csv"], args].concat()).exits(exit).says(says);
    }
}

#[test]
fn the_endpoint_wins_over_the_region_and_the_vendors_variable_names_one_too() {
    let _machine = shared();
    let lab = Lab::new();
    let shown = |args: &[&str]| {
        let mut command = lab.command(&[&["config", "show"], args].concat());
        command.env("HW_REGION_NAME", "ru-moscow-1");
        Launch::of(command).end().exits(0).stdout
    };
    assert!(shown(&[]).contains("in the environment (HW_REGION_NAME)"), "{}", shown(&[]));
    lab.write("plan.csv", &plan(3, "stopped,syncing"));
    let served = lab.serve("plan.csv", "");
    lab.cutover(&["plan", "plan.csv", "--region", "cn-north-4", "--endpoint", &served.url]).exits(0);
}

#[test]
fn rows_that_were_not_sent_say_so() {
    let _machine = shared();
    let lab = Lab::new();
    lab.write("plan.csv", &plan(1, "stopped,syncing"));
    let mut gone = lab.command(&["run", "plan.csv", "--endpoint", "http://127.0.0.1:1", "--yes", "--preflight", "off"]);
    gone.env("CUTOVER_ATTEMPTS", "1").env("CUTOVER_VERIFY_TIMEOUT", "1s");
    Launch::of(gone).end();
    let story = lab.cutover(&["explain", "vm-00001"]).exits(0).stdout;
    assert!(story.contains("not sent: connection refused"), "{story}");
}
