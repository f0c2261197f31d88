//! The sample of servers that let each role do its part: what each of them may, and may not.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use super::secured::certified;
use super::server::{free_port, program, until};
use crate::lab::home::Lab;
use crate::lab::launch::Launch;
use crate::lab::machine::shared;
use crate::lab::plan;
use crate::lab::served::{Served, TOKEN};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/engine/nats-server.conf");

/// Roles of the sample, each with a key pair of these tests.
const ROLES: [(&str, &str, &str); 5] = [
    (
        "HEAD",
        "UBCUHAOZRPWUAPBHUH7RXJBKGOSYNGUZCRAAAF636BW3V7I3U4DSEGU5",
        "SUAJDQALNCUTX7PUJVUBL7ANOWYLMHTTFNZHO3C64VNKEQD6F3RJZKPR44",
    ),
    (
        "WORKER_EU",
        "UBHN63YZRILPCEJVWSHMHDPPKFG6RP7QUTZRVFDMMQ5ZHZPSKM2GP4IK",
        "SUAAXDMTCRIG4VRVPC56EGRIVND6CSSHXPAFYSR6IU3TALR7XEVN6F3T4Y",
    ),
    (
        "WORKER_US",
        "UC63473ASSERYNKM5XUHVPDPWQZODNR2RGOVKYRZTQG6O454I7OTFBKJ",
        "SUACA2TZD6ZAHHXYRSY4L3LXP3K7IARGW35J7LYFSNBKSGLKRQHVNUSCOA",
    ),
    (
        "STEER",
        "UDRG3Q2RNQLCSFZU75RYQRGGD5RILQGR2JOKN5YPUIHKKFCRD7CQEPU5",
        "SUAOAATHRHM647DSV27CFHHB5WP4VO7HS43I2F5DLW6257KGJGH4YULMCY",
    ),
    (
        "READ",
        "UDBLRYXEJ5GOP5TQDEFHFEKHALF6MP5CBAURASM2NCYOF5EBXJQQO4M2",
        "SUADRGOG6WSDNTL6SPGMBMZ5UODYRG6XUPQG2L4TKLZT5K63YVWMPWSEVE",
    ),
];

/// Server as the sample sets it up.
struct Sample {
    lab: Lab,
    process: Child,
    port: u16,
}

impl Sample {
    /// Starts it; `None` on a machine without the server.
    fn start() -> Option<Self> {
        let (program, lab, port) = (program()?, Lab::new(), free_port());
        certified(&lab);
        let mut command = Command::new(program);
        command.arg("--config").arg(SAMPLE).env("SERVER_NAME", "n1").env("LISTEN", format!("127.0.0.1:{port}"));
        command.env("STORE", lab.path("store")).env("SERVER_CERT", lab.path("server.pem"));
        command.env("SERVER_KEY", lab.path("server.key"));
        for (role, public, _) in ROLES {
            command.env(format!("{role}_NKEY"), public);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { lab, process, port })
    }

    /// Makes a machine with the key of a role, on which this profile is set.
    fn machine(&self, role: &str, service: &Served, profiles: &str) -> Lab {
        let lab = Lab::new();
        let (_, _, seed) = ROLES.into_iter().find(|(name, ..)| *name == role).unwrap();
        lab.write("seed", seed);
        std::fs::set_permissions(lab.path("seed"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let engine = format!(
            "[engine]\nurl = \"tls://127.0.0.1:{}\"\nca = \"{}\"\ncredentials = \"seed\"\n",
            self.port,
            self.lab.path("ca.pem").display()
        );
        lab.write("cutover.toml", &(engine + &profiles.replace("ENDPOINT", &service.url)));
        lab.write("plan.csv", &plan(120, "stopped,syncing"));
        lab
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn begin(lab: &Lab, args: &[&str]) -> Launch {
    let mut command = lab.command(args);
    command.args(["--config", "cutover.toml"]);
    Launch::start(command)
}

#[test]
fn each_role_of_the_sample_does_its_part_and_nothing_else() {
    let _machine = shared();
    let Some(sample) = Sample::start() else { return };
    sample.lab.write("plan.csv", &plan(120, "stopped,syncing"));
    let service = sample.lab.serve("plan.csv", "");
    let of = |name: &str, more: &str| format!("[profiles.{name}]\nendpoint = \"ENDPOINT\"\nrate = 10\n{more}\n");
    let with_token = |name| of(name, "token_env = \"CUTOVER_AUTH_TOKEN\"");

    // A key for one target serves no other.
    let stranger = sample.machine("WORKER_US", &service, &with_token("eu"));
    let refused = begin(&stranger, &["worker", "--target", "eu"]).end().exits(5);
    assert!(
        refused.stderr.contains("Permissions Violation for Subscription to \"cutover.do.eu."),
        "{}",
        refused.stderr
    );

    let at_work = sample.machine("WORKER_EU", &service, &with_token("eu"));
    let mut worker = begin(&at_work, &["worker"]);
    worker.tells("serving `eu`");
    let head = sample.machine("HEAD", &service, &of("eu", "via = \"worker\""));
    let led = begin(&head, &["run", "plan.csv", "--profile", "eu", "--yes", "--no-progress"]);
    let run = until("the run begins", || {
        let journal = head.path("cutover.db").exists().then(|| head.journal())?;
        (journal.count("SELECT count(*) FROM sqlite_master WHERE name = 'event'") == 1
            && journal.n_events("attempt_ended") > 0)
            .then(|| journal.text("SELECT id FROM run"))
    });

    // Whoever reads cannot steer, and a worker can do neither.
    let reader = sample.machine("READ", &service, "");
    begin(&reader, &["control", &run, "rate", "20"]).end().exits(8);
    begin(&reader, &["runs", "--engine", &format!("tls://127.0.0.1:{}", sample.port)]).end().exits(0);
    begin(&at_work, &["collect", &run]).end().exits(8);
    let steering = sample.machine("STEER", &service, "");
    begin(&steering, &["control", &run, "rate", "off"]).end().exits(0);
    led.end().exits(0);
    begin(&reader, &["collect", &run]).end().exits(0);
    begin(&reader, &["collect", &run, "--forget"]).end().exits(8);
    assert_eq!(reader.journal().tally()["applied"], 120);
    worker.signal("TERM");
    worker.end().exits(0);
    assert!(!TOKEN.is_empty());
}
