//! Three servers that replicate the stream.

use std::path::Path;

use async_nats::jetstream;

use super::server::{Server, free_port, program, until};
use super::site::Site;
use crate::log::suite::{lines_of, waited};

/// Starts three servers that know each other.
fn three(program: &Path) -> Vec<Server> {
    let routes = [(); 3].map(|()| free_port());
    let all = routes.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
    let server = |(nth, route): (usize, &u16)| {
        let cluster = format!("cluster {{ name: three, listen: 127.0.0.1:{route}, routes: [{all}] }}\n");
        let mut server = Server::new(program, &format!("n{nth}"), free_port(), &cluster);
        server.start();
        server
    };
    routes.iter().enumerate().map(server).collect()
}

/// Returns the position of the server that leads the stream, once there is one.
fn leader(site: &Site, jetstream: &jetstream::Context) -> usize {
    until("the stream has a leader", || {
        let stream = site.runtime.block_on(jetstream.get_stream(&site.names.stream)).ok()?;
        let name = stream.cached_info().cluster.as_ref()?.leader.clone()?;
        name.strip_prefix('n')?.parse().ok()
    })
}

#[test]
fn commits_go_on_behind_killed_leaders_and_none_is_lost_or_there_twice() {
    let Some(program) = program() else { return };
    let mut servers = three(&program);
    let site = Site::new(3);
    let jetstream = site.connect(&servers.iter().map(|server| server.port).collect::<Vec<_>>());
    // Until the servers have found each other, none of them can make a stream.
    until("the stream is made", || site.set_up(&jetstream).ok());
    let mut writer = site.writer(&jetstream);
    let mut n_commits = 0;
    for _ in 0..3 {
        for _ in 0..50 {
            writer.append(&mut [waited()]).unwrap();
            n_commits += 1;
        }
        let killed = leader(&site, &jetstream);
        servers[killed].kill();
        for _ in 0..50 {
            writer.append(&mut [waited()]).unwrap();
            n_commits += 1;
        }
        servers[killed].start();
    }
    until("all is there", || (site.n_commits(&jetstream) == n_commits).then_some(()));
    assert_eq!(site.lines(&jetstream), lines_of(&writer.journal, writer.run));
}
