//! Reads: one server, pages of servers, the overview, the servers with errors.
//!
//! sources: CN api-sms/ShowServer.html, ListServers.html, getMigrationErrors.html and the overview page;
//! huaweicloud-sdk-python-v3 `show_server_response.py`, `list_servers_request.py`, `source_servers_response_body.py`.

use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::dice;
use super::world::World;
use crate::model::words::Word;

/// Query for a page of the list. Unknown parameters are ignored, as by the service.
#[derive(Debug, Default)]
pub(super) struct Query {
    state: Option<Word>,
    cycle: Option<Word>,
    name: Option<String>,
    id: Option<String>,
    ip: Option<String>,
    ipv6: Option<String>,
    connected: Option<bool>,
    project: Option<String>,
    enterprise_project: Option<String>,
    has_consistency_result: Option<bool>,
    vm: Option<String>,
    limit: usize,
    offset: usize,
}

impl Query {
    /// Reads a query for at most `most` entries; a limit of 0 means `usual`.
    pub(super) fn parse(query: &str, most: usize, usual: usize) -> Result<Self, String> {
        let mut read = Self { limit: usual, ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => read.state = Some(Word::new(&value)),
                "migration_cycle" => read.cycle = Some(Word::new(&value)),
                "name" => read.name = Some(value.into_owned()),
                "id" => read.id = Some(value.into_owned()),
                "ip" => read.ip = Some(value.into_owned()),
                "ipv6" => read.ipv6 = Some(value.into_owned()),
                "connected" => read.connected = Some(boolean(&name, &value)?),
                "migproject" => read.project = Some(value.into_owned()),
                "enterprise_project_id" => read.enterprise_project = Some(value.into_owned()),
                "is_consistency_result_exist" => read.has_consistency_result = Some(boolean(&name, &value)?),
                "vm_id" => read.vm = Some(value.into_owned()),
                "limit" => read.limit = within(&name, &value, most)?,
                "offset" => read.offset = within(&name, &value, 65_535)?,
                _ => (),
            }
        }
        if read.limit == 0 {
            read.limit = usual;
        }
        Ok(read)
    }

    fn has_filter(&self) -> bool {
        let texts = [&self.name, &self.id, &self.ip, &self.ipv6, &self.project, &self.enterprise_project, &self.vm];
        self.state.is_some()
            || self.cycle.is_some()
            || self.connected.is_some()
            || self.has_consistency_result.is_some()
            || texts.into_iter().any(Option::is_some)
    }

    fn matches(&self, world: &World, i: u32, now_us: u64) -> bool {
        let (source, shown) = (world.source(i), world.shown(i, now_us));
        self.state.as_ref().is_none_or(|state| *state == shown.state)
            && self.cycle.as_ref().is_none_or(|cycle| *cycle == shown.cycle)
            && self.name.as_ref().is_none_or(|name| source.name.contains(name.as_str()))
            && self.id.as_ref().is_none_or(|id| *source.id == **id)
            && self.ip.as_ref().is_none_or(|ip| address(i) == *ip)
            // `ip` takes precedence over `ipv6`.
            && (self.ip.is_some() || self.ipv6.as_ref().is_none_or(|ip| address_v6(i) == *ip))
            && self.connected.is_none_or(|connected| is_connected(&source.id) == connected)
            && self.project.as_ref().is_none_or(|project| project == MIGRATION_PROJECT)
            && self.enterprise_project.as_ref().is_none_or(|id| id == ENTERPRISE_PROJECT || id == "all_granted_eps")
            && self.has_consistency_result.is_none_or(|has| !has)
            // No server here was ever cloned.
            && self.vm.is_none()
    }
}

/// Project of every source.
const MIGRATION_PROJECT: &str = "sandbox-migproject";
const ENTERPRISE_PROJECT: &str = "0";

fn boolean(name: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("{name} is a boolean"))
}

fn within(name: &str, value: &str, most: usize) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{name} is a number from 0 to {most}"))
}

/// Returns the number of all matching sources, and those of one page. Only a filter needs to look at the whole estate.
pub(super) fn page(world: &World, query: &Query, now_us: u64) -> (usize, Vec<u32>) {
    let n_sources = u32::try_from(world.sources.len()).expect("an estate has fewer than four billion servers");
    if !query.has_filter() {
        let page = (0..n_sources).skip(query.offset).take(query.limit).collect();
        return (world.sources.len(), page);
    }
    let candidates = match &query.id {
        Some(id) => world.find(id).map_or(0..0, |i| i..i + 1),
        None => 0..n_sources,
    };
    let matching: Vec<u32> = candidates.filter(|i| query.matches(world, *i, now_us)).collect();
    (matching.len(), matching.into_iter().skip(query.offset).take(query.limit).collect())
}

/// Documented scalar fields of a server.
#[derive(Serialize)]
struct ServerBody<'a> {
    id: &'a str,
    ip: String,
    name: &'a str,
    hostname: &'a str,
    enterprise_project_id: &'static str,
    add_date: u64,
    os_type: &'static str,
    os_version: &'static str,
    oem_system: bool,
    state: &'a str,
    connected: bool,
    firmware: &'static str,
    cpu_quantity: u64,
    memory: u64,
    current_task: Option<()>,
    checks: [(); 0],
    replicatesize: u64,
    totalsize: u64,
    last_visit_time: u64,
    stage_action_time: u64,
    agent_version: &'static str,
    has_tc: bool,
    migration_cycle: &'a str,
    state_action_time: u64,
    start_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_consistency_result_exist: Option<bool>,
}

/// Call that reads a server: the two differ in the unit of `memory`, and the list has one field more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadCall {
    Show,
    List,
}

fn server(world: &World, i: u32, now_us: u64, call: ReadCall) -> ServerBody<'_> {
    let (source, shown) = (world.source(i), world.shown(i, now_us));
    let roll = dice::for_text(0, "hardware", &source.id);
    let memory_mb = 2048 << (roll % 6);
    let totalsize = (40 + roll % 960) << 30;
    let (os_type, os_version) =
        if source.name.contains("win") { ("WINDOWS", "WINDOWS2019") } else { ("LINUX", "CENTOS_7_9_64BIT") };
    ServerBody {
        id: &source.id,
        ip: address(i),
        name: &source.name,
        hostname: &source.name,
        enterprise_project_id: ENTERPRISE_PROJECT,
        add_date: shown.state_at_ms.min(shown.cycle_at_ms).saturating_sub(86_400_000),
        os_type,
        os_version,
        oem_system: false,
        state: shown.state.as_str(),
        connected: is_connected(&source.id),
        firmware: if roll & 64 == 0 { "BIOS" } else { "UEFI" },
        cpu_quantity: 1 << (roll % 5),
        memory: match call {
            ReadCall::Show => memory_mb,
            ReadCall::List => memory_mb << 20,
        },
        current_task: None,
        checks: [],
        replicatesize: totalsize / 2,
        totalsize,
        last_visit_time: shown.state_at_ms,
        stage_action_time: shown.cycle_at_ms,
        agent_version: "25.9.0",
        has_tc: false,
        migration_cycle: shown.cycle.as_str(),
        state_action_time: shown.state_at_ms,
        start_type: "MANUAL",
        is_consistency_result_exist: (call == ReadCall::List).then_some(false),
    }
}

fn address(i: u32) -> String {
    let [_, b, c, d] = i.to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

fn address_v6(i: u32) -> String {
    format!("fd00::{i:x}")
}

/// Tells whether a source's agent is connected; one in fifty is not.
fn is_connected(id: &str) -> bool {
    !dice::for_text(0, "connected", id).is_multiple_of(50)
}

pub(super) fn show(world: &World, i: u32, now_us: u64) -> Vec<u8> {
    serde_json::to_vec(&server(world, i, now_us, ReadCall::Show)).expect("plain data is JSON")
}

pub(super) fn list(world: &World, count: usize, page: &[u32], now_us: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct ListBody<'a> {
        count: usize,
        source_servers: Vec<ServerBody<'a>>,
    }
    let source_servers = page.iter().map(|i| server(world, *i, now_us, ReadCall::List)).collect();
    serde_json::to_vec(&ListBody { count, source_servers }).expect("plain data is JSON")
}

/// Counters that the documentation has; drills and clearing have none.
const COUNTED: [&str; 13] = [
    "waiting",
    "replicate",
    "syncing",
    "stopped",
    "deleting",
    "cutovering",
    "unavailable",
    "stopping",
    "skipping",
    "finished",
    "initialize",
    "error",
    "cloning",
];

pub(super) fn overview(world: &World, now_us: u64) -> Value {
    let mut overview: serde_json::Map<String, Value> = COUNTED.iter().map(|name| ((*name).into(), 0.into())).collect();
    overview.insert("unconfigured".into(), 0.into());
    for i in indices(world) {
        let shown = world.shown(i, now_us);
        let unconfigured = shown.state.as_str() == "waiting" && shown.cycle.as_str() == "checking";
        let name = if unconfigured { "unconfigured" } else { shown.state.as_str() };
        if let Some(counter) = overview.get_mut(name) {
            *counter = (counter.as_u64().unwrap_or(0) + 1).into();
        }
    }
    Value::Object(overview)
}

/// Lists the servers with errors; `error_json` is a JSON document inside a string.
pub(super) fn errors(world: &World, query: &Query, now_us: u64) -> Value {
    let in_trouble =
        |i: &u32| ["error", "unavailable", "clearfailed"].contains(&world.shown(*i, now_us).state.as_str());
    let troubled: Vec<u32> = indices(world).filter(in_trouble).collect();
    let entry = |i: &u32| {
        let source = world.source(*i);
        json!({
            "source_id": &*source.id, "name": &*source.name, "host_name": &*source.name,
            "source_ip": address(*i), "target_ip": Value::Null,
            "error_json": r#"[{"error_code":"SMS.0805","error_msg":"Failed to copy a partition."}]"#,
        })
    };
    let page: Vec<Value> = troubled.iter().skip(query.offset).take(query.limit).map(entry).collect();
    json!({"count": troubled.len(), "migration_errors": page})
}

fn indices(world: &World) -> std::ops::Range<u32> {
    0..u32::try_from(world.sources.len()).expect("an estate has fewer than four billion servers")
}
